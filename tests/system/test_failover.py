"""Several processes of each service, of which one dies, stands still or is drained under turns."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from benchmarks.failover import CASES, Told, disturbed, undisturbed
from benchmarks.fleet.processes import Fleet
from csm.client import FinishReason

CONVERSATIONS, LEAD_MS = 8, 500
RECONNECTED_S = 7.0
"""After which a gateway has found a process again: it tries every 5 s, give or take a fifth."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    flags = {"generator": ["--slots", "8", "--drain-finish-s", "0.5"]}
    one = Fleet(tmp_path_factory.mktemp("logs"), flags=flags)
    try:
        one.start()
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def calm(fleet: Fleet) -> list[Told]:
    return asyncio.run(undisturbed(fleet, CONVERSATIONS, LEAD_MS))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_turn_ends_and_none_is_heard_twice(fleet: Fleet, calm: list[Told], case: str) -> None:
    tolds, victim = asyncio.run(disturbed(fleet, case, CONVERSATIONS, LEAD_MS))
    fleet.replace(CASES[case][0], victim)
    # Or all turns of the next case are at the others, and move.
    time.sleep(RECONNECTED_S)
    moved = [t for t in tolds if t.completed and t.completed.usage.failovers]
    assert 0 < len(moved) < CONVERSATIONS
    for told, expected in zip(tolds, calm, strict=True):
        assert told.started == 1
        assert told.completed
        assert told.completed.finish_reason is FinishReason.EOS
        assert told.completed.usage.failovers <= 1
        # The seed was given, so what is heard is what would have been heard.
        assert len(told.pcm) == len(expected.pcm)
        if CASES[case][0] == "generator":
            assert told.pcm == expected.pcm
