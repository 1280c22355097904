"""The clock of a turn, by a clock of our own."""

import numpy as np
import pytest

from csm.audio.pcm import pcm_bytes
from csm.serving.metrics import GatewayMetrics, Metrics
from csm.v1 import common_pb2
from csm.warning_kind import WarningKind
from gateway.commands import StreamFormat
from gateway.speaking.events import TurnUsage, TurnWarning
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


FORM = StreamFormat(common_pb2.AUDIO_ENCODING_PCM_S16LE, 24_000, 1)


def chunk(level: float) -> bytes:
    return pcm_bytes(np.full(1920, level, np.float32), FORM.encoding)  # type: ignore[arg-type]


def test_speech_is_heard_behind_the_silence_that_it_begins_with() -> None:
    turn = Turn(step_s=0.0)
    turn.meter.accepted()
    # Two silent chunks and a loud one arrive together after 30 ms: the player has two to play.
    turn.now += 0.03
    for index, level in enumerate((0.0, 0.0, 0.5, 0.5)):
        turn.meter.sent(FRAME_S, FRAME_S * (index + 1), turn.now)
        turn.meter.listen(chunk(level), FORM, turn.now + index * FRAME_S)
    heard = "time_to_first_audible_seconds"
    value = turn.metrics.registry.get_sample_value
    assert value(f"csm_gateway_{heard}_count", {"rpc": "Synthesize"}) == 1
    assert value(f"csm_gateway_{heard}_sum", {"rpc": "Synthesize"}) == pytest.approx(0.19)
    first = value("csm_gateway_time_to_first_audio_seconds_sum", {"rpc": "Synthesize"})
    assert first == pytest.approx(0.03)


def test_a_turn_that_is_silent_has_no_time_of_being_heard() -> None:
    turn = Turn(step_s=0.0)
    turn.meter.accepted()
    turn.meter.listen(chunk(0.0), FORM, turn.now)
    value = turn.metrics.registry.get_sample_value
    name = "csm_gateway_time_to_first_audible_seconds_count"
    assert value(name, {"rpc": "Synthesize"}) == 0


def test_the_time_that_a_text_takes_is_measured() -> None:
    turn = Turn(step_s=0.0)
    with turn.meter.preparing_text():
        turn.now += 0.004
    assert turn.sample("text_preparation_seconds_sum") == pytest.approx(0.004)


def test_warnings_are_counted_by_kind() -> None:
    turn = Turn(step_s=0.0)
    warnings = [
        TurnWarning(kind, "text", 0, 1, "")
        for kind in (WarningKind.CUT, WarningKind.CUT, WarningKind.TOO_LONG)
    ]
    turn.meter.told(TurnUsage(), warnings)
    value = turn.metrics.registry.get_sample_value
    counts = {k: value("csm_gateway_warnings_total", {"kind": k.value}) for k in WarningKind}
    assert counts[WarningKind.CUT] == 2
    assert counts[WarningKind.TOO_LONG] == 1
    assert counts[WarningKind.IGNORED] == 0


@pytest.mark.parametrize(
    ("history", "usage", "hits", "misses"),
    [
        (50, TurnUsage(prompt_frames=80, reused_frames=60), 1, 0),
        # Its own text, however long, is always computed.
        (50, TurnUsage(text_tokens=90, prompt_frames=180, reused_frames=80), 1, 0),
        # A voice's prompt is in the cache of every generator.
        (50, TurnUsage(prompt_frames=80, reused_frames=20), 0, 1),
        (50, TurnUsage(prompt_frames=80, reused_frames=0), 0, 1),
        # The first turn of a conversation.
        (0, TurnUsage(prompt_frames=30, reused_frames=0), 0, 0),
        # A turn that never began; a model that takes no history; a full context.
        (50, TurnUsage(), 0, 0),
        (50, TurnUsage(prompt_frames=30, reused_frames=0), 0, 0),
        (50, TurnUsage(prompt_frames=80, reused_frames=0, evicted_segments=2), 0, 0),
    ],
)
def test_a_turn_whose_history_is_computed_anew_missed_its_generator(
    history: int, usage: TurnUsage, hits: int, misses: int
) -> None:
    turn = Turn(step_s=0.0)
    turn.meter.continues(history)
    turn.meter.told(usage, [])
    value = turn.metrics.registry.get_sample_value
    assert value("csm_gateway_affinity_total", {"result": "hit"}) == hits
    assert value("csm_gateway_affinity_total", {"result": "miss"}) == misses
