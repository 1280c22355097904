"""The clock of one spoken turn, and what it tells Prometheus."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import grpc

from csm import errors
from csm.serving.calls import turn_record
from csm.serving.calls.record import current_call
from csm.serving.metrics import GatewayMetrics
from gateway.commands import StreamFormat
from gateway.speaking.audible import first_audible_s
from gateway.speaking.events import FinishReason, TurnTiming, TurnUsage, TurnWarning
from gateway.speaking.making_time import MakingTime
from gateway.speaking.turn_stages import Stage

OUTCOMES = {
    FinishReason.EOS: "completed",
    FinishReason.MAX_DURATION: "completed",
    FinishReason.CANCELLED: "cancelled",
    FinishReason.DEADLINE: "deadline",
    FinishReason.SHUTDOWN: "failed",
    FinishReason.ERROR: "failed",
}


def outcome_of(error: Exception) -> str:
    """The metric's word for a turn that ended with a status."""
    if not isinstance(error, errors.ServiceError):
        return "failed"
    if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "deadline"
    refused = (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.OUT_OF_RANGE,
    )
    return "rejected" if error.code in refused else "failed"


class TurnMeter:
    """Takes timestamps while the turn runs; observes a histogram only where it must."""

    def __init__(
        self, metrics: GatewayMetrics, rpc: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds that only grow."""
        self._metrics = metrics
        self._rpc = rpc
        self._clock = clock
        self._created = clock()
        self._call = current_call()
        self.record = self._call.begin_turn(self._created)
        """What its log line and its span will say."""
        self._accepted: float | None = None
        self._submitted: float | None = None
        self._first_frame: float | None = None
        self._first_chunk: float | None = None
        self._first_taken: float | None = None
        self._first_sent: float | None = None
        self._last_sent: float | None = None
        self._cancel_asked: float | None = None
        self._text, self._decoding, self._sending = Stage(), Stage(), Stage()
        self._text_s = 0.0
        self._last_frame: float | None = None
        self._admitted = False
        self._making = MakingTime()
        self._spoke = False
        self._heard = False
        self._history_frames = 0
        self._audio_s = 0.0
        self._done = False

    def accepted(self) -> None:
        """There is all that the first sentence needs."""
        if self._accepted is None:
            self._accepted = self.record.accepted_s = self._clock()

    def admitted(self) -> None:
        """It waits no longer for its place, its conversation, or the turns before it; this task
        works for it from here on."""
        turn_record.current.set(self.record)
        if not self._admitted:
            self._admitted = True
            waited_from = self._created if self._accepted is None else self._accepted
            self._call.stage(self.record, "admission", waited_from, self._clock())
        self.accepted()

    def encoded(self, began: float, num_turns: int) -> None:
        """Its context was encoded since then."""
        ended = self._clock()
        self._metrics.stage_duration_seconds.labels("context_encode").observe(ended - began)
        self._call.stage(self.record, "encode", began, ended, turns=num_turns)

    @contextlib.contextmanager
    def preparing_text(self) -> Iterator[None]:
        """A text, or a part of one, becomes sentences meanwhile."""
        began = self._clock()
        yield
        ended = self._clock()
        self._metrics.text_preparation_seconds.observe(ended - began)
        self._text.note(began, ended)
        self._text_s += ended - began

    def continues(self, history_frames: int) -> None:
        """The turn belongs to a conversation of so many frames."""
        self._history_frames = history_frames

    def submitted(self) -> None:
        """The backends' calls are open."""
        self._submitted = self._clock()
        self._making.submitted()

    def sentence_began(self) -> None:
        """The generator was given a sentence."""
        self._making.sentence_began(self._clock())

    def sentence_ended(self) -> None:
        """The generator is done with it."""
        self._making.sentence_ended(self._clock())

    def credit_used_up(self) -> None:
        """The generator pauses for the client: no time of making."""
        self._making.credit_used_up()

    def credit_given(self) -> None:
        """The generator goes on."""
        self._making.credit_given()

    def frame(self) -> None:
        """Frames came from the generator."""
        now = self._clock()
        self._making.frame(now)
        self._spoke = True
        self._last_frame = now
        if self._first_frame is None:
            self._first_frame = now
            self._stage("generate_first_frame", self._first_frame, self._submitted)

    def decoded(self) -> None:
        """Audio came from the tokenizer."""
        now = self._clock()
        self._decoding.note(self._first_frame, now)
        if self._first_chunk is None:
            self._first_chunk = now
            self._stage("decode_first_chunk", self._first_chunk, self._first_frame)

    def taken(self) -> None:
        """A chunk goes to the client."""
        if self._first_taken is None:
            self._first_taken = self._clock()

    def sent(self, duration_s: float, lead_s: float, now: float) -> None:
        """The client's connection took a chunk."""
        metrics = self._metrics
        self._sending.note(self._first_taken, now)
        if self._first_sent is None:
            self._first_sent = self.record.first_audio_s = now
            self._stage("send_first_chunk", now, self._first_taken)
            if self._accepted is not None:
                metrics.time_to_first_audio_seconds.labels(self._rpc).observe(
                    now - self._accepted, self._exemplar()
                )
        elif self._last_sent is not None:
            metrics.chunk_gap_seconds.observe(now - self._last_sent)
        self._last_sent = now
        self._audio_s += duration_s
        metrics.pacing_lead_seconds.observe(lead_s)
        metrics.audio_seconds.inc(duration_s)

    def listen(self, pcm: bytes, form: StreamFormat, played: float) -> None:
        """The chunk that was sent, as a listener hears it who plays at once: from `played` on."""
        if self._heard:
            return
        offset_s = first_audible_s(pcm, form)
        if offset_s is not None:
            self._heard = True
            if self._accepted is not None:
                self._metrics.time_to_first_audible_seconds.labels(self._rpc).observe(
                    played + offset_s - self._accepted
                )

    def text_starved(self) -> None:
        """No chunk was due: the text was not there."""
        self._last_sent = None

    def cancelled(self) -> None:
        """The client asked to stop."""
        self._cancel_asked = self._clock()

    def said_again(self) -> None:
        """A sentence ended far too early and is said anew."""
        self._metrics.sentences_repeated.inc()

    def retried(self, service: str, code: str) -> None:
        """The turn is submitted again; its clock goes on."""
        self._metrics.upstream_retries.labels(service, code).inc()
        self.record.retries += 1
        self._first_frame = self._first_chunk = self._last_frame = None
        self._decoding = Stage()
        self._making.made_again()

    def used(self, usage: TurnUsage, num_frames: int) -> None:
        """What the turn has consumed, as far as the generator has said; frames that came."""
        record = self.record
        record.num_frames = max(num_frames, usage.generated_frames)
        record.prompt_frames, record.reused_frames = usage.prompt_frames, usage.reused_frames
        record.text_tokens = usage.text_tokens

    def told(
        self,
        usage: TurnUsage,
        warnings: Sequence[TurnWarning],
        reason: FinishReason | None = None,
        error: errors.ServiceError | None = None,
    ) -> None:
        """What the turn's terminal says; before `finish`."""
        self.record.finish_reason = reason.name if reason is not None else ""
        self.record.error = error.summary() if error is not None else ""
        self.record.num_warnings = len(warnings)
        self._metrics.count_warnings(warning.kind for warning in warnings)
        # A generator that has the conversation's cache computes what is new; one that has not, all
        # of its frames. Of a full context or a model that takes none, nothing can be told.
        if 0 < self._history_frames <= usage.prompt_frames and not usage.evicted_segments:
            computed = usage.prompt_frames - usage.reused_frames - usage.text_tokens
            result = "hit" if computed < self._history_frames else "miss"
            self._metrics.affinity.labels(result).inc()

    def failed_over(self, service: str, code: str) -> None:
        """The turn goes on elsewhere, with what there is of it."""
        self._metrics.failovers.labels(service, code).inc()
        self.record.failovers += 1

    def timing(self, queue_ms: float, prefill_ms: float) -> TurnTiming:
        """Queue and prefill as the generator says; first audio sent and total as seen here."""
        self.record.queue_ms, self.record.prefill_ms = queue_ms, prefill_ms
        began = self._accepted if self._accepted is not None else self._created
        decode_ms = 0.0
        if self._first_frame is not None and self._first_chunk is not None:
            decode_ms = (self._first_chunk - self._first_frame) * 1000
        first = (self._first_sent - began) * 1000 if self._first_sent is not None else 0.0
        return TurnTiming(
            queue_ms=queue_ms,
            prefill_ms=prefill_ms,
            first_frame_ms=first,
            total_ms=(self._clock() - began) * 1000,
            decode_ms=decode_ms,
        )

    def finish(self, outcome: str, underrun_s: float) -> None:
        """The turn is over; counts only once."""
        if self._done:
            return
        self._done = True
        now, metrics = self._clock(), self._metrics
        metrics.requests.labels(self._rpc, outcome).inc()
        if self._cancel_asked is not None:
            metrics.cancel_latency_seconds.observe(now - self._cancel_asked)
        if self._spoke and self._accepted is not None:
            metrics.utterance_duration_seconds.observe(now - self._accepted)
        if self._audio_s:
            metrics.audio_underrun_seconds.observe(underrun_s)
            making_s = self._making.seconds
            if outcome == "completed" and making_s is not None:
                metrics.real_time_factor.observe(making_s / self._audio_s)
        self.record.outcome, self.record.audio_s = outcome, self._audio_s
        if self._call.traced:
            self._tell_stages(underrun_s)
        self._call.end_turn(self.record, now)

    def _stage(self, stage: str, now: float, since: float | None) -> None:
        if since is not None:
            self._metrics.stage_duration_seconds.labels(stage).observe(now - since)

    def _tell_stages(self, underrun_s: float) -> None:
        call, record = self._call, self.record
        busy_ms = round(1000 * self._text_s, 1)
        self._text.tell(call, record, "text", busy_ms=busy_ms)
        first, last = self._first_frame, self._last_frame
        if self._submitted is not None and first is not None:
            call.stage(record, "first_frame", self._submitted, first)
        if first is not None and last is not None:
            call.stage(record, "frames", first, last, frames=record.num_frames)
        self._decoding.tell(call, record, "decode")
        underrun_ms = round(1000 * underrun_s, 1)
        self._sending.tell(call, record, "send", underrun_ms=underrun_ms)

    def _exemplar(self) -> dict[str, str] | None:
        """The trace in which a scraper finds this very turn, where its spans are kept."""
        trace = self.record.trace
        return {"trace_id": trace.trace_id} if trace is not None and trace.sampled else None
