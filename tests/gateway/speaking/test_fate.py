"""The table of a turn's fate, and the states of a turn."""

import itertools

import pytest
from grpc import StatusCode

from gateway.speaking.fate import MOVES, TABLE, Fate, Source, TurnState, fate

GONE, FULL, BUSY = (
    StatusCode.UNAVAILABLE,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.FAILED_PRECONDITION,
)
WRONG, LATE = StatusCode.INVALID_ARGUMENT, StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("source", "code", "delivered", "stopping", "expected"),
    [
        (Source.SENTENCE, WRONG, False, False, Fate.SKIP),
        (Source.SENTENCE, WRONG, True, False, Fate.SKIP),
        (Source.SENTENCE, StatusCode.OUT_OF_RANGE, True, False, Fate.SKIP),
        (Source.SENTENCE, StatusCode.INTERNAL, False, False, Fate.RETRY),
        (Source.SENTENCE, StatusCode.INTERNAL, True, False, Fate.GO_ON),
        (Source.GENERATOR, GONE, False, False, Fate.RETRY),
        (Source.GENERATOR, GONE, True, False, Fate.GO_ON),
        (Source.GENERATOR, GONE, False, True, Fate.END_TURN),
        (Source.GENERATOR, StatusCode.UNKNOWN, False, False, Fate.RETRY),
        (Source.GENERATOR, BUSY, False, False, Fate.WAIT),
        (Source.GENERATOR, BUSY, True, False, Fate.GO_ON),
        (Source.GENERATOR, FULL, False, False, Fate.END_TURN),
        (Source.GENERATOR, FULL, True, False, Fate.GO_ON),
        (Source.GENERATOR, WRONG, True, False, Fate.END_TURN),
        (Source.GENERATOR, LATE, True, False, Fate.END_TURN),
        (Source.GENERATOR, WRONG, False, False, Fate.END_TURN),
        (Source.GENERATOR, LATE, False, False, Fate.END_TURN),
        (Source.GENERATOR, StatusCode.UNIMPLEMENTED, False, False, Fate.END_CALL),
        (Source.GENERATOR, StatusCode.UNIMPLEMENTED, True, False, Fate.END_TURN),
        (Source.TOKENIZER, GONE, False, False, Fate.RETRY),
        (Source.TOKENIZER, FULL, False, False, Fate.WAIT),
        (Source.TOKENIZER, GONE, True, False, Fate.GO_ON),
        (Source.TOKENIZER, FULL, True, False, Fate.GO_ON),
        (Source.TOKENIZER, StatusCode.PERMISSION_DENIED, False, False, Fate.RETRY),
        (Source.GENERATOR, StatusCode.UNAUTHENTICATED, True, False, Fate.GO_ON),
    ],
)
def test_the_table(
    source: Source, code: StatusCode, delivered: bool, stopping: bool, expected: Fate
) -> None:
    assert fate(source, code, delivered=delivered, stopping=stopping) is expected


ALL = list(itertools.product(Source, StatusCode, (False, True), (False, True)))


def test_every_failure_has_a_fate() -> None:
    assert all(isinstance(fate(s, c, delivered=d, stopping=stop), Fate) for s, c, d, stop in ALL)


def test_what_was_delivered_is_never_said_again() -> None:
    again = {Fate.RETRY, Fate.WAIT}
    assert not any(fate(s, c, delivered=True, stopping=stop) in again for s, c, _, stop in ALL)


def test_a_stopping_turn_gets_the_end_that_was_asked_for() -> None:
    assert {fate(s, c, delivered=d, stopping=True) for s, c, d, _ in ALL} == {Fate.END_TURN}


def test_no_row_is_in_vain() -> None:
    deciding = {
        next(
            number
            for number, rule in enumerate(TABLE)
            if rule.matches(s, c, delivered=d, stopping=stop)
        )
        for s, c, d, stop in ALL
    }
    assert deciding == set(range(len(TABLE)))


def test_every_turn_can_stop_and_ends_for_good() -> None:
    assert set(MOVES) == set(TurnState)
    assert not MOVES[TurnState.OVER]
    assert all(TurnState.OVER in to for state, to in MOVES.items() if state is not TurnState.OVER)
    before = [s for s in TurnState if TurnState.STOPPING in MOVES[s]]
    assert before == [TurnState.WAITING, TurnState.OPEN, TurnState.SPEAKING]


def test_a_turn_that_has_been_heard_does_not_begin_again() -> None:
    assert not MOVES[TurnState.SPEAKING] & {TurnState.WAITING, TurnState.OPEN}
