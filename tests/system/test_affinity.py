"""Whether a conversation came back to the cache that it left, as the gateway counts it."""

from collections.abc import Iterator

import pytest

from csm.client import Client
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
