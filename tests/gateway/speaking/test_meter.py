"""The clock of a turn, by a clock of our own."""

import pytest

from csm.serving.metrics import GatewayMetrics, Metrics
from gateway.speaking.meter import TurnMeter

FRAME_S = 0.08


class Turn:
    """A turn whose generator takes `step_s` a frame, and `resume_s` to go on behind a pause."""

    def __init__(self, *, step_s: float, prefill_s: float = 0.0, resume_s: float = 0.0) -> None:
        self.now = 100.0
        self.metrics = Metrics()
        self.meter = TurnMeter(
            GatewayMetrics(self.metrics.registry), "Synthesize", clock=lambda: self.now
        )
        self._step_s, self._prefill_s, self._resume_s = step_s, prefill_s, resume_s

    def sample(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(f"csm_gateway_{name}")
        assert value is not None
        return value

    def speak(self, sentences: list[int], *, credit: int, batch: int) -> None:
        """Sentences of so many frames; the client takes a frame every 80 ms from the first on.

        It gives credit in batches. `credit` 0: without a limit.
        """
        meter = self.meter
        meter.accepted()
        meter.submitted()
        granted = credit or 1 << 30
        made, began = 0, None
        for frames in sentences:
            meter.sentence_began()
            self.now += self._prefill_s
            for step in range(frames + 1):  # the last one finds the end
                if made >= granted:
                    # The client has taken `made - credit + batch` frames.
                    assert began is not None
                    self.now = max(self.now, began + (made - credit + batch) * FRAME_S)
                    granted += batch
                    meter.credit_given()
                    self.now += self._resume_s
                self.now += self._step_s
                if step < frames:
                    made += 1
                    meter.frame()
                    began = began or self.now
                    if made >= granted:
                        meter.credit_used_up()
                    meter.sent(FRAME_S, 0.0, self.now)
            meter.sentence_ended()
        meter.finish("completed", 0.0)


def factor(turn: Turn) -> float:
    assert turn.sample("real_time_factor_count") == 1
    return turn.sample("real_time_factor_sum")


def test_the_real_time_factor_is_the_time_of_making() -> None:
    turn = Turn(step_s=0.008)
    turn.speak([99], credit=0, batch=0)
    assert factor(turn) == pytest.approx(0.8 / 99 / 0.08)


@pytest.mark.parametrize("sentences", [[100], [50, 50], [8, 8, 40], [9] * 10, [2] * 40])
@pytest.mark.parametrize(("credit", "batch"), [(8, 2), (10, 2), (13, 3), (64, 16)])
def test_the_real_time_factor_does_not_depend_on_the_pacing(
    sentences: list[int], credit: int, batch: int
) -> None:
    """Nor on how long a generator needs to go on, which is no making."""
    unpaced, paced = (
        Turn(step_s=0.0008, prefill_s=0.02, resume_s=0.01),
        Turn(step_s=0.0008, prefill_s=0.02, resume_s=0.01),
    )
    unpaced.speak(sentences, credit=0, batch=0)
    paced.speak(sentences, credit=credit, batch=batch)
    assert paced.now > unpaced.now + 1 or sum(sentences) <= credit
    assert factor(paced) == pytest.approx(factor(unpaced), rel=0.05)


def test_a_pause_between_two_sentences_is_no_making() -> None:
    turn = Turn(step_s=0.001)
    meter = turn.meter
    meter.accepted()
    meter.submitted()
    for _ in range(2):
        meter.sentence_began()
        turn.now += 0.001
        meter.frame()
        meter.credit_used_up()
        meter.sent(FRAME_S, 0.0, turn.now)
        meter.sentence_ended()
        meter.sentence_began()
        turn.now += 30
        meter.credit_given()
        turn.now += 0.5
        meter.frame()
        meter.sent(FRAME_S, 0.0, turn.now)
        meter.sentence_ended()
    meter.finish("completed", 0.0)
    assert factor(turn) == pytest.approx(0.001 / 0.08)


def test_frames_of_a_try_that_was_thrown_away_do_not_count() -> None:
    turn = Turn(step_s=0.008)
    turn.meter.submitted()
    turn.meter.sentence_began()
    turn.now += 5
    turn.meter.frame()
    turn.meter.retried("generator", "UNAVAILABLE")
    turn.speak([99], credit=0, batch=0)
    assert factor(turn) == pytest.approx(0.8 / 99 / 0.08)


def test_a_turn_of_which_no_step_could_be_timed_has_no_factor() -> None:
    turn = Turn(step_s=0.0)
    meter = turn.meter
    meter.accepted()
    meter.submitted()
    meter.credit_used_up()
    meter.sentence_began()
    meter.credit_given()
    meter.frame()
    meter.sent(FRAME_S, 0.0, turn.now)
    meter.sentence_ended()
    meter.finish("completed", 0.0)
    assert turn.sample("real_time_factor_count") == 0
    assert turn.sample("utterance_duration_seconds_count") == 1


@pytest.mark.parametrize("outcome", ["rejected", "deadline", "failed", "cancelled"])
def test_a_turn_that_never_made_a_frame_is_no_utterance(outcome: str) -> None:
    turn = Turn(step_s=0.0)
    turn.meter.accepted()
    turn.meter.submitted()
    turn.meter.sentence_began()
    turn.now += 2
    turn.meter.finish(outcome, 0.0)
    assert turn.sample("utterance_duration_seconds_count") == 0


def test_a_turn_that_was_cancelled_while_it_spoke_is_an_utterance() -> None:
    turn = Turn(step_s=0.0)
    turn.meter.accepted()
    turn.meter.submitted()
    turn.meter.sentence_began()
    turn.meter.frame()
    turn.now += 2
    turn.meter.finish("cancelled", 0.0)
    assert turn.sample("utterance_duration_seconds_sum") == 2
