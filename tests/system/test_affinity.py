"""Whether a conversation came back to the cache that it left, as the gateway counts it."""

from collections.abc import Iterator

import numpy as np
import pytest

from csm.client import Client, Conversation, Event, TurnCompleted
from services.all_in_one import AllInOne
from tests.system.conftest import PICO, BackgroundStack

TEXT = "The evening train was late again."


@pytest.fixture
def narrow() -> Iterator[AllInOne]:
    """A generator with a single slot."""
    background = BackgroundStack(model=PICO, slots=1, threads=1)
    yield background.stack
    background.close()


def counts(stack: AllInOne) -> tuple[float | None, float | None]:
    """Hits and misses so far."""
    value = stack.metrics.registry.get_sample_value
    hit, miss = (value("csm_gateway_affinity_total", {"result": r}) for r in ("hit", "miss"))
    return hit, miss


def test_a_turn_misses_when_another_conversation_took_its_slot(narrow: AllInOne) -> None:
    with Client(narrow.address) as client:

        def turn(conversation_id: str) -> None:
            client.synthesize(TEXT, conversation_id=conversation_id).read_all()

        turn("a")
        assert counts(narrow) == (0, 0)  # no history yet
        turn("a")
        assert counts(narrow) == (1, 0)
        turn("b")
        turn("a")
        assert counts(narrow) == (1, 1)
        turn("a")
        assert counts(narrow) == (2, 1)


def test_what_was_only_heard_is_no_miss(narrow: AllInOne) -> None:
    heard = np.zeros(24_000, np.float32)
    with Client(narrow.address) as client, client.converse() as talk:
        for _ in range(2):
            talk.send_audio(heard)
            talk.say(TEXT)
            talk.end_turn()
            assert list(until_spoken(talk))
    assert counts(narrow) == (1, 0)


def until_spoken(talk: Conversation) -> Iterator[Event]:
    for event in talk:
        yield event
        if isinstance(event, TurnCompleted) and not event.heard:
            return
