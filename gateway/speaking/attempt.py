"""One try at a spoken turn: a generator stream, a decoder stream, and the sentences between.

Sentences come from a `SentenceQueue` as the text arrives. The next one is submitted when the
generator is done with the one before, not when that has been played; all frames go through one
decoder, so there is no seam.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace
from typing import Any

import grpc

from csm import errors
from csm.audio.frames import WIRE_DTYPE
from csm.limits import MAX_AUDIO_MS
from gateway.backends.backends import Backends, GeneratorState
from gateway.backends.calls import (
    Decoding,
    Frames,
    Generation,
    SentenceCompleted,
    SentenceStarted,
)
from gateway.backends.convert import segment_message
from gateway.backends.failure import BackendFailure
from gateway.conversations.cuts import packed
from gateway.conversations.store import Segment, cut
from gateway.settings import GatewaySettings
from gateway.speaking.attempt_events import (
    AttemptEvent,
    AttemptOptions,
    Began,
    EndedEarly,
    ReachedCap,
    Skipped,
    SpokenSentence,
)
from gateway.speaking.events import FinishReason, TurnUsage
from gateway.speaking.fate import Fate, Source, fate
from gateway.speaking.late_decoder import LateDecoder
from gateway.speaking.meter import TurnMeter
from gateway.speaking.pauses import Pauses
from gateway.speaking.sentence_queue import SentenceQueue
from gateway.text.expectation import CHARS_PER_SECOND, cap_ms, too_early
from gateway.text.sentence import Sentence

# How long a generator that was told of the end may take to end the stream.
END_TIMEOUT_S = 1.0
WATCH_INTERVAL_S = 0.25
SEEDS = 1 << 64
OTHER_SEED = 0x9E3779B97F4A7C15
"""Added to the seed of a sentence that is said anew."""
SILENCE_S = 0.8
"""After which a generator that owes an answer is asked whether it still goes round."""


class Attempt:
    """The two streams and what came through them."""

    def __init__(
        self,
        options: AttemptOptions,
        context: Iterable[Any],
        backends: Backends,
        settings: GatewaySettings,
        meter: TurnMeter,
    ) -> None:
        """`context` are segments as `context_messages` makes them."""
        info = backends.info
        self.spoken: list[SpokenSentence] = []
        self.num_frames = 0
        self.usage = TurnUsage()
        self.queue_ms = self.prefill_ms = 0.0
        self.finish_reason = FinishReason.EOS
        self._options = options
        self._backends = backends
        self._settings = settings
        self._meter = meter
        self._frame_ms = info.frame_ms
        self._frame_bytes = info.tokenizer.num_codebooks * WIRE_DTYPE.itemsize
        frame_pcm_bytes = max(1, round(options.form.bytes_per_s * self._frame_ms / 1000))
        self._running = ""
        self._other_seed = 0
        self._full = False
        """All the audio that the turn may have is made."""
        self._stopping = False
        self._owed_since: float | None = None
        self._events: deque[AttemptEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._context = list(context)
        self._generation = Generation(
            backends, options.generation, self._context, options.timeout_s
        )
        self._pauses = Pauses(options.form.sample_bytes)
        self._decoder = LateDecoder(
            Decoding(backends, options.form, options.timeout_s),
            self._frame_bytes,
            settings.max_pcm_bytes // frame_pcm_bytes,
        )
        meter.submitted()

    async def events(self, sentences: SentenceQueue) -> AsyncGenerator[AttemptEvent, None]:
        """Speaks the sentences to their end; raises `BackendFailure`."""
        work = asyncio.create_task(self._work(sentences))
        work.add_done_callback(lambda _: self._wake())
        try:
            while True:
                while self._events:
                    yield self._events.popleft()
                if work.done():
                    work.result()
                    return
                # A future of its own is cheaper than an Event, and this is waited for every frame.
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
        finally:
            self._waiter = None
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def stop(self, timeout_s: float) -> None:
        """Ends the running sentence in band.

        `events` ends when the generator has said so, or after the timeout.
        """
        self._stopping = True
        self._decoder.stop()
        if self._running:
            self._generation.stop(self._running)
        # A generator that does not answer must not hold the client up.
        asyncio.get_running_loop().call_later(timeout_s, self._generation.cancel)

    def written(self, num_frames: int, credit_frames: int) -> None:
        """The client has taken the audio of the first `num_frames`, `credit_frames` of it anew."""
        self._decoder.written(num_frames)
        if self._generation.give_credit(credit_frames):
            self._meter.credit_given()
            if self._running:
                self._owed_since = time.monotonic()

    def text_chars(self, num_frames: int) -> int:
        """Characters of the text whose sentence has begun within the first `num_frames`."""
        for spoken in reversed(self.spoken):
            if spoken.first_frame < num_frames:
                return spoken.sentence.end_char
        return 0

    def segments(self, kept_frames: int) -> list[Segment]:
        """The first `kept_frames` as segments, a sentence each.

        One that is cut, or that the model never finished, keeps its text in proportion.
        """
        ended = [s for s in self.spoken if s.whole and s.sentence.text]
        chars = sum(len(s.sentence.text) for s in ended)
        frames_per_char = 1000 / self._frame_ms / CHARS_PER_SECOND
        if chars:
            frames_per_char = sum(s.num_frames for s in ended) / chars
        found = []
        for spoken in self.spoken:
            frames = min(kept_frames - spoken.first_frame, spoken.num_frames)
            if frames <= 0:
                continue
            text, codes = spoken.sentence.text, b"".join(spoken.codes)
            whole_frames = spoken.num_frames
            if not spoken.whole:
                whole_frames = max(whole_frames, round(len(text) * frames_per_char))
            speaker = self._options.generation.speaker
            cuts = packed(self._options.cuts(spoken))
            segment = Segment(speaker, text, codes, spoken.num_frames, cuts=cuts)
            segment = cut(segment, frames, whole_frames)
            written = spoken.sentence.written_until(len(segment.text))
            found.append(replace(segment, written="" if written == segment.text else written))
        return found

    # --- inside ---

    def _tell(self, event: AttemptEvent) -> None:
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _work(self, sentences: SentenceQueue) -> None:
        generate = asyncio.create_task(self._generate(sentences))
        decode = asyncio.create_task(self._decoder.run(self._sound))
        watch: asyncio.Task[None] | None = None
        tasks = {generate, decode}
        try:
            pending = set(tasks)
            while pending - {watch}:
                # Who fails at once needs no watch: what it costs is behind the first sound.
                done, pending = await asyncio.wait(
                    pending,
                    timeout=WATCH_INTERVAL_S if watch is None else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if watch is None and not done:
                    watch = asyncio.create_task(self._watch())
                    tasks.add(watch)
                    pending.add(watch)
                failed = [t for t in done if not t.cancelled() and t.exception() is not None]
                if failed and decode in pending and self._decoder.fed_frames and not self._stopping:
                    # The frames that were made are good, and the client listens.
                    self._decoder.close()
                    await asyncio.wait((decode,), timeout=END_TIMEOUT_S)
                for task in failed:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            self._generation.cancel()
            self._decoder.stop()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._running:
                # No terminal came for this one: count what did come.
                frames = self.spoken[-1].num_frames
                self.usage = self.usage.plus(
                    TurnUsage(generated_frames=frames, audio_ms=round(frames * self._frame_ms))
                )

    async def _generate(self, sentences: SentenceQueue) -> None:
        try:
            while not self._stopping and (sentence := await sentences.next()) is not None:
                if not await self._speak(sentence):
                    break
            self._generation.requests.close()
            self._decoder.close()
            # The end of the stream says that the conversation's slot is free for the next.
            with contextlib.suppress(BackendFailure, TimeoutError):
                async with asyncio.timeout(END_TIMEOUT_S):
                    while await self._generation.answer() is not None:
                        pass
        except asyncio.CancelledError:
            if not self._stopping:
                raise

    async def _speak(self, sentence: Sentence, seed: int | None = None) -> bool:
        """One sentence; whether to go on to the next."""
        spoken = SpokenSentence(sentence, self.num_frames)
        self._running = f"{self._options.turn_id}.{len(self.spoken)}"
        self.spoken.append(spoken)
        self._owed_since = time.monotonic()
        self._generation.speak(self._running, sentence.text, self._cap_ms(sentence), seed)
        self._meter.sentence_began()
        while (answer := await self._generation.answer()) is not None:
            self._owed_since = time.monotonic()
            if isinstance(answer, Frames):
                self._take(spoken, answer)
            elif isinstance(answer, SentenceStarted):
                if len(self.spoken) == 1 or not self.num_frames:
                    self._tell(Began(answer.seed))
                    self._other_seed = (answer.seed + OTHER_SEED) % SEEDS
                if sentence.pause_ms and seed is None:
                    self._pauses.add(self.num_frames, sentence.pause_ms)
            else:
                self._running, self._owed_since = "", None
                self._meter.sentence_ended()
                if seed is None and self._may_try_again(spoken, answer):
                    return await self._speak(sentence, self._other_seed)
                return self._completed(spoken, answer)
        raise BackendFailure.ended(Source.GENERATOR)

    def _take(self, spoken: SpokenSentence, frames: Frames) -> None:
        if self._stopping or self._full:
            return
        self._meter.frame()
        codes, num_frames = frames.codes, frames.num_frames
        most = self._options.max_frames
        if most and self.num_frames + num_frames > most:
            num_frames = most - self.num_frames
            codes = codes[: num_frames * self._frame_bytes]
        spoken.codes.append(codes)
        spoken.num_frames += num_frames
        self.num_frames += num_frames
        self._full = 0 < most <= self.num_frames
        self._decoder.feed(codes, num_frames)
        if self._full and spoken.first_frame:
            # The limit in the config is that of a sentence; the turn's is kept here.
            self._generation.stop(self._running)
        elif self.num_frames >= self._generation.credit_granted:
            self._owed_since = None
            self._meter.credit_used_up()

    def _completed(self, spoken: SpokenSentence, answer: SentenceCompleted) -> bool:
        if len(self.spoken) == 1:
            self.queue_ms = answer.timing.queue_ms
            self.prefill_ms = answer.timing.prefill_ms
        self.usage = self.usage.plus(answer.usage)
        if self._stopping:
            return False
        reason = answer.reason
        if self._full:
            self.finish_reason = FinishReason.MAX_DURATION
        elif reason is FinishReason.EOS:
            spoken.whole = True
            if self._early(spoken):
                audio_ms = round(spoken.num_frames * self._frame_ms)
                self._tell(EndedEarly(spoken.sentence, audio_ms))
        elif reason is FinishReason.MAX_DURATION:
            self.finish_reason = FinishReason.MAX_DURATION
            self._tell(ReachedCap(spoken.sentence, round(spoken.num_frames * self._frame_ms)))
        elif reason is FinishReason.DEADLINE:
            self.finish_reason = FinishReason.DEADLINE
            return False
        elif reason is FinishReason.SHUTDOWN:
            error = errors.Unavailable("the generator is shutting down")
            raise BackendFailure(Source.GENERATOR, error.code, error, FinishReason.SHUTDOWN)
        else:
            self._failed(spoken, answer)
        return not self._full

    def _cap_ms(self, sentence: Sentence) -> int:
        """Milliseconds after which the sentence is cut; 0: as the call's config says."""
        generation = self._options.generation
        if generation.max_audio_ms:
            return 0
        cap = cap_ms(sentence.expected_ms, generation.sampling.min_audio_ms or 0)
        return min(cap, MAX_AUDIO_MS)

    def _early(self, spoken: SpokenSentence) -> bool:
        return too_early(spoken.num_frames * self._frame_ms, spoken.sentence.expected_ms)

    def _may_try_again(self, spoken: SpokenSentence, answer: SentenceCompleted) -> bool:
        """Whether a sentence that ended far too early is taken back, to be said anew.

        Never under a seed that the caller chose: the same seed is the same speech.
        """
        if (
            not self._settings.retry_early_end
            or self._options.generation.sampling.seed is not None
            or answer.reason is not FinishReason.EOS
            or self._stopping
            or not self._early(spoken)
            or not self._decoder.withdraw(spoken.first_frame)
        ):
            return False
        self.usage = self.usage.plus(answer.usage)
        self.spoken.remove(spoken)
        self.num_frames, self._full = spoken.first_frame, False
        self._meter.said_again()
        said = [segment_message(s) for s in self.segments(self.num_frames)]
        self._generation.replace_context([*self._context, *said])
        return True

    def _failed(self, spoken: SpokenSentence, answer: SentenceCompleted) -> None:
        error = answer.error or errors.Internal("the generator failed")
        code = answer.code if answer.error else grpc.StatusCode.INTERNAL
        what = fate(
            Source.SENTENCE,
            code,
            delivered=self._decoder.decoded_frames > 0,
            stopping=self._stopping,
        )
        if what is not Fate.SKIP or not spoken.sentence.text:
            raise BackendFailure(Source.GENERATOR, code, error)
        self.spoken.remove(spoken)
        self._tell(Skipped(spoken.sentence, error))

    def _sound(self, pcm: bytes, num_frames: int) -> None:
        self._meter.decoded()
        for event in self._pauses.between(pcm, num_frames):
            self._tell(event)

    async def _watch(self) -> None:
        """Fails where a backend owes an answer and gives none: it may hold its connection."""
        settings, generation = self._settings, self._options.generation
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            if self._stopping:
                continue
            waited_s = self._decoder.owed_s
            if waited_s > settings.decode_timeout_s:
                raise BackendFailure.silent(Source.TOKENIZER, waited_s, "audio")
            waited_s = _since(self._owed_since)
            if waited_s < min(SILENCE_S, settings.frame_timeout_s):
                continue
            state = await self._backends.generator_state(generation.route_key, generation.route)
            waited_s = _since(self._owed_since)
            limit_s = settings.frame_timeout_s
            if state is GeneratorState.FULL:
                limit_s = settings.slot_timeout_s
            if waited_s and (state is GeneratorState.HANGS or waited_s > limit_s):
                raise BackendFailure.silent(Source.GENERATOR, waited_s, "frame")
            await asyncio.sleep(SILENCE_S - WATCH_INTERVAL_S)


def _since(began: float | None) -> float:
    return 0.0 if began is None else time.monotonic() - began
