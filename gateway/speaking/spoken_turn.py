"""A spoken turn from its first word to its terminal: tries, delivery, barge-in, what is kept.

What the client takes gives credit back to the generator, so a client that does not read pauses
its own slot alone.
"""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import grpc

from csm.audio.pcm import BYTES_PER_SAMPLE
from csm.v1 import common_pb2, generator_pb2
from gateway.backends.backends import Backends
from gateway.backends.calls import UpstreamFailure
from gateway.commands import TurnOptions
from gateway.conversations.store import Turn
from gateway.settings import GatewaySettings
from gateway.speaking.attempt import CANCELLED, EOS, MAX_DURATION, Attempt
from gateway.speaking.meter import OUTCOMES, TurnMeter, outcome_of
from gateway.speaking.outbox import Audio, Outbox, TurnCompleted, TurnStarted
from gateway.speaking.pacing import Playout
from gateway.speaking.sentence_queue import SentenceQueue
from gateway.text.sentences import Sentence

MIN_CREDIT_FRAMES = 8
BUSY_S, MAX_BUSY_S = 0.05, 0.4
"""Between two tries at a slot that is not yet free; doubled each time."""


class SpokenTurn:
    """One turn. `run` speaks it; all else never waits and may be called at any time."""

    def __init__(
        self,
        turn_id: str,
        manner: TurnOptions,
        context: Callable[[], Iterable[common_pb2.Segment]],
        backends: Backends,
        settings: GatewaySettings,
        outbox: Outbox,
        meter: TurnMeter,
        deadline: float | None,
        on_end: Callable[[Turn], None],
    ) -> None:
        """`context` is asked when generation begins; `on_end` gets what is kept of the turn.

        `deadline` is a time of the monotonic clock.
        """
        self.turn_id = turn_id
        self.meter = meter
        self.ended = False
        self._manner = manner
        self._context = context
        self._backends = backends
        self._settings = settings
        self._outbox = outbox
        self._deadline = deadline
        self._on_end = on_end
        self._frame_ms = backends.info.frame_ms
        self._sample_bytes = BYTES_PER_SAMPLE[manner.form.encoding] * manner.form.channels
        self._playout = Playout(manner.max_lead_ms, self._frame_ms)
        self._script = SentenceQueue(self._text_starved)
        self._attempt: Attempt | None = None
        self._reason: common_pb2.FinishReason | None = None
        self._stopped = asyncio.Event()
        self._heard_frames: int | None = None
        self._seed: int | None = None
        self._num_samples = 0
        self._unwritten = 0
        self._changed = asyncio.Event()
        self._sent_frames = 0
        self._credited_frames = 0
        self._delivered = False

    def add(self, sentences: Iterable[Sentence]) -> None:
        """More to speak."""
        if self._reason is None:
            self._script.add(sentences)

    def end_text(self) -> None:
        """There is no more."""
        self._script.end()

    def stop(self, reason: common_pb2.FinishReason, heard_ms: int | None = None) -> None:
        """Ends the turn with `reason`; what the client has not taken is dropped first.

        `heard_ms`: what was heard of it; None: all that was sent. A turn that is over, or
        already stopping, is left alone.
        """
        if self.ended or self._reason is not None:
            return
        self._reason = reason
        if heard_ms is not None:
            self._heard_frames = math.ceil(heard_ms / self._frame_ms)
        if reason == CANCELLED:
            self.meter.cancelled()
        self._outbox.discard_audio(self)
        self._script.end(at_once=True)
        if self._attempt is not None:
            self._attempt.stop(self._kept_frames(), self._settings.cancel_timeout_s)
        self._stopped.set()
        self._changed.set()

    async def run(self) -> None:
        """Speaks; puts `TurnStarted`, audio and exactly one `TurnCompleted`.

        Raises `ServiceError` where the call is to end with a status instead.
        """
        self.meter.accepted()
        try:
            try:
                reason = await self._speak()
            except UpstreamFailure as failure:
                await self._all_written()
                in_band = self._manner.errors_in_band and (
                    failure.lost or failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
                )
                if self._reason is None and not in_band:
                    raise failure.error from failure
                reason = failure.reason
            self._end(reason if self._reason is None else self._reason)
        except Exception as error:
            self._leave(outcome_of(error))
            raise
        finally:
            self.abandon()

    def abandon(self) -> None:
        """The call is over before the turn: keeps what was sent. After the end: nothing."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        self._leave("deadline" if late else "cancelled")

    # --- what the writer asks and tells (AudioSource) ---

    def delay_s(self, audio: Audio) -> float:
        """Seconds until the chunk may leave."""
        if not self._playout.paced:
            return 0.0
        return self._playout.delay_s(audio.duration_s, time.monotonic())

    def taken(self, audio: Audio) -> None:
        """The chunk is on its way."""
        self._delivered = True
        self._sent_frames = audio.num_frames
        self.meter.taken()

    def written(self, audio: Audio) -> None:
        """The client's connection took the chunk."""
        now = time.monotonic()
        lead_s = self._playout.sent(audio.duration_s, now)
        self.meter.sent(audio.duration_s, lead_s, now)
        self._unwritten -= 1
        if self._attempt is not None and audio.num_frames > self._credited_frames:
            self._attempt.give_credit(audio.num_frames - self._credited_frames)
            self._credited_frames = audio.num_frames
        if self._unwritten == 0:
            self._changed.set()

    # --- inside ---

    async def _speak(self) -> common_pb2.FinishReason:
        retried = False
        busy_until, busy_s = math.inf, BUSY_S
        while await self._script.ready():
            attempt = self._attempt = self._open()
            try:
                await attempt.run(self._script)
                await self._all_written()
                return attempt.finish_reason
            except UpstreamFailure as failure:
                if self._delivered or self._reason is not None or not failure.retryable:
                    raise
                # A slot that the turn before has not left yet is free after a step or two.
                busy = failure.code is grpc.StatusCode.FAILED_PRECONDITION
                if busy:
                    spent = time.monotonic() >= busy_until
                    busy_until = min(busy_until, time.monotonic() + self._settings.failover_s)
                else:
                    spent, retried = retried, True
                if spent:
                    raise
                self.meter.retried(failure.service, failure.code.name)
                self._outbox.discard_audio(self)
                self._num_samples = self._unwritten = 0
                self._script.put_back(s.sentence for s in attempt.spoken)
                self._attempt = None
                if busy:
                    await self._unless_stopped(asyncio.sleep(busy_s))
                    busy_s = min(2 * busy_s, MAX_BUSY_S)
                else:
                    await self._unless_stopped(self._backends.recovered(failure.service))
        return EOS

    def _open(self) -> Attempt:
        manner, settings = self._manner, self._settings
        config = generator_pb2.GenerateConfig(
            conversation_id=manner.conversation_id,
            speaker=manner.speaker,
            sampling=manner.sampling,
            max_audio_ms=manner.max_audio_ms,
            initial_credit_frames=settings.initial_credit_frames,
        )
        if manner.max_lead_ms:
            # Frames made beyond the lead would be thrown away at a barge-in.
            lead_frames = math.ceil(manner.max_lead_ms / self._frame_ms)
            config.initial_credit_frames = min(
                settings.initial_credit_frames, max(lead_frames, MIN_CREDIT_FRAMES)
            )
        if self._seed is not None:
            config.sampling.seed = self._seed
        timeout_s = None
        if self._deadline is not None:
            timeout_s = max(0.0, self._deadline - time.monotonic())
        return Attempt(
            self.turn_id,
            config,
            manner.form,
            self._context(),
            int(manner.max_audio_ms / self._frame_ms),
            self._backends,
            self.meter,
            timeout_s,
            self._started,
            self._audio,
        )

    def _started(self, seed: int) -> None:
        if self._seed is None and self._reason is None:
            self._seed = seed
            self._outbox.put(TurnStarted(self.turn_id, self._manner.form, seed))

    def _audio(self, pcm: bytes, num_frames: int) -> None:
        attempt = self._attempt
        if attempt is None or self._reason is not None:
            return
        num_samples = len(pcm) // self._sample_bytes
        self._unwritten += 1
        self._outbox.put(
            Audio(
                self,
                pcm,
                self._num_samples,
                num_frames,
                attempt.text_chars(num_frames),
                num_samples / self._manner.form.sample_rate_hz,
            )
        )
        self._num_samples += num_samples

    def _text_starved(self) -> None:
        self._playout.text_starved(time.monotonic())
        self.meter.text_starved()

    async def _all_written(self) -> None:
        while self._unwritten and self._reason is None:
            self._changed.clear()
            await self._changed.wait()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.create_task(work), asyncio.create_task(self._stopped.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _kept_frames(self) -> int:
        if self._heard_frames is None:
            return self._sent_frames
        return min(self._sent_frames, self._heard_frames)

    def _end(self, reason: common_pb2.FinishReason) -> None:
        attempt = self._attempt
        kept = self._kept_frames()
        if attempt is not None and reason in (EOS, MAX_DURATION):
            kept = attempt.num_frames
        self._leave(OUTCOMES[reason], kept)
        queue_ms, prefill_ms = (attempt.queue_ms, attempt.prefill_ms) if attempt else (0.0, 0.0)
        self._outbox.put(
            TurnCompleted(
                self.turn_id,
                reason,
                attempt.usage if attempt else common_pb2.Usage(),
                self.meter.timing(queue_ms, prefill_ms),
                round(kept * self._frame_ms),
                heard=False,
            )
        )

    def _leave(self, outcome: str, kept: int | None = None) -> None:
        if self.ended:
            return
        self.ended = True
        attempt = self._attempt
        segments = (
            attempt.segments(self._kept_frames() if kept is None else kept) if attempt else []
        )
        self._on_end(Turn(self.turn_id, self._manner.speaker, False, segments))
        self.meter.finish(outcome, self._playout.underrun_s)
