"""How much of a context was heard, by a clock that the tests turn."""

import pytest

from pipecat_csm.playout import Playout


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_audio_is_heard_in_real_time_and_never_more_than_there_was(clock: Clock) -> None:
    playout = Playout(clock)
    playout.pushed("a", 1000)
    clock.now_s += 0.4
    assert playout.heard_ms("a") == 400
    clock.now_s += 5
    assert playout.heard_ms("a") == 1000
    assert playout.heard_ms("unknown") == 0


def test_contexts_are_played_one_after_another(clock: Clock) -> None:
    playout = Playout(clock)
    playout.pushed("a", 1000)
    playout.pushed("b", 1000)
    clock.now_s += 1.25
    assert (playout.heard_ms("a"), playout.heard_ms("b")) == (1000, 250)
    assert playout.interrupted() == {"b": 250}
    assert playout.interrupted() == {}


def test_a_gap_in_the_audio_is_not_heard(clock: Clock) -> None:
    playout = Playout(clock)
    playout.pushed("a", 200)
    clock.now_s += 1.0
    playout.pushed("a", 200)
    clock.now_s += 0.1
    assert playout.heard_ms("a") == 300


def test_the_clock_runs_from_when_the_bot_is_said_to_speak(clock: Clock) -> None:
    playout = Playout(clock)
    playout.pushed("a", 1000)
    playout.pushed("b", 1000)
    clock.now_s += 0.3
    playout.bot_started()
    clock.now_s += 0.5
    assert playout.heard_ms("a") == 500
    clock.now_s += 0.7
    assert playout.heard_ms("b") == 200
    playout.bot_started()
    assert playout.heard_ms("b") == 200


def test_what_may_not_be_interrupted_goes_on(clock: Clock) -> None:
    playout = Playout(clock)
    playout.pushed("a", 1000, interruptible=False)
    playout.pushed("b", 1000)
    clock.now_s += 0.5
    assert playout.interrupted() == {"b": 0}
    playout.pushed("c", 1000)
    clock.now_s += 1.0
    assert playout.heard_ms("c") == 500
