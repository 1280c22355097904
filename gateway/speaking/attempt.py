"""One try at a spoken turn: a generator stream, a decoder stream, and the sentences between.

Sentences come from a `SentenceQueue` as the text arrives. The next one is submitted when the
generator is done with the one before, not when that has been played; all frames go through one
decoder, so there is no seam.

Either stream may be lost. The other goes on, and the one that was lost is opened elsewhere: the
generator is given what it needs to go on in the same sentence, the decoder its last frames.
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
from gateway.backends.backends import Backends
from gateway.backends.calls import (
    Decoding,
    Frames,
    Generation,
    SentenceCompleted,
    SentenceStarted,
)
from gateway.backends.convert import segment_message
from gateway.backends.failure import BackendFailure
from gateway.conversations.store import Segment
from gateway.settings import GatewaySettings
from gateway.speaking.attempt_events import (
    AttemptEvent,
    AttemptOptions,
    Began,
    EndedEarly,
    ReachedCap,
    Skipped,
)
from gateway.speaking.credit import Credit
from gateway.speaking.events import FinishReason, TurnTiming, TurnUsage
from gateway.speaking.fate import Fate, Source, fate
from gateway.speaking.late_decoder import DecoderFormat, LateDecoder
from gateway.speaking.meter import TurnMeter
from gateway.speaking.pauses import Pauses
from gateway.speaking.recovery import Recovery
from gateway.speaking.sentence_queue import SentenceQueue
from gateway.speaking.spoken_sentences import SpokenSentence, SpokenSentences
from gateway.speaking.watch import WATCH_INTERVAL_S, Owed, Watch
from gateway.text.expectation import cap_ms, too_early
from gateway.text.sentence import Sentence

# How long a generator that was told of the end may take to end the stream.
END_TIMEOUT_S = 1.0
SEEDS = 1 << 64
OTHER_SEED = 0x9E3779B97F4A7C15
"""Added to the seed of a sentence that is said anew."""


class Attempt:
    """The two streams and what came through them."""

    def __init__(
        self,
        options: AttemptOptions,
        context: Iterable[Any],
        backends: Backends,
        settings: GatewaySettings,
        meter: TurnMeter,
        recovery: Recovery,
    ) -> None:
        """`context` are segments as `context_messages` makes them."""
        info = backends.info
        self.spoken = SpokenSentences(options.generation.speaker, info.frame_ms)
        self.usage = TurnUsage()
        self.queue_ms = self.prefill_ms = 0.0
        self.finish_reason = FinishReason.EOS
        self._options = options
        self._backends = backends
        self._settings = settings
        self._meter = meter
        self._recovery = recovery
        self._deadline = None if options.timeout_s is None else time.monotonic() + options.timeout_s
        self._frame_ms = info.frame_ms
        self._frame_bytes = info.tokenizer.num_codebooks * WIRE_DTYPE.itemsize
        form = options.form
        frame_pcm_bytes = max(1, round(form.bytes_per_s * self._frame_ms / 1000))
        self._running = ""
        self._begun_frames = 0
        """Of the running sentence, those that the generator was given with it."""
        self._seeds_used = 0
        """Sentences that were begun: the config's seed is the first one's, and so on."""
        self._moved = False
        """The generator's call is not the first: it counts from another sentence."""
        self._other_seed = 0
        self._full = False
        """All the audio that the turn may have is made."""
        self._stopping = False
        self._owed = Owed()
        """An answer that the generator owes."""
        self._events: deque[AttemptEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._context = list(context)
        self._credit = Credit(options.generation.credit_frames)
        self._generation = Generation(
            backends, options.generation, self._context, options.timeout_s
        )
        self._pauses = Pauses(form.sample_bytes)
        self._decoder = LateDecoder(
            lambda: Decoding(backends, form, self._left_s()),
            DecoderFormat(
                self._frame_bytes, form.sample_rate_hz * self._frame_ms / 1000, form.sample_bytes
            ),
            settings.max_pcm_bytes // frame_pcm_bytes,
            self._may_go_on,
            recovery.got_on,
        )
        meter.submitted()

    @property
    def num_frames(self) -> int:
        """Frames made, of all sentences."""
        return self.spoken.num_frames

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
        asyncio.get_running_loop().call_later(timeout_s, lambda: self._generation.cancel())

    def written(self, num_frames: int, credit_frames: int) -> None:
        """The client has taken the audio of the first `num_frames`, `credit_frames` of it anew."""
        self._decoder.written(num_frames)
        if batch := self._credit.give(credit_frames):
            self._generation.give_credit(batch)
            self._meter.credit_given()
            if self._running:
                self._owed.begin()

    def text_chars(self, num_frames: int) -> int:
        """Characters of the text whose sentence has begun within the first `num_frames`."""
        return self.spoken.text_chars(num_frames)

    def segments(self, kept_frames: int) -> list[Segment]:
        """The first `kept_frames` as segments, a sentence each."""
        return self.spoken.segments(kept_frames)

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
                    watch = asyncio.create_task(self._watched())
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
            self._count_what_came()

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

    async def _speak(self, sentence: Sentence) -> bool:
        """One sentence; whether to go on to the next."""
        spoken, seed = self.spoken.begin(sentence), self._next_seed()
        while True:
            try:
                completed = await self._made(spoken, seed)
                if self._may_try_again(spoken, completed):
                    spoken, seed = self.spoken.begin(sentence, again=True), self._other_seed
                else:
                    return self._completed(spoken, completed)
            except BackendFailure as failure:
                self._owed.end()
                self._count_what_came()
                if not await self._may_go_on(failure):
                    raise
                self._move(spoken)
                seed = self._next_seed() if spoken.seed is None else spoken.seed

    async def _made(self, spoken: SpokenSentence, seed: int | None) -> SentenceCompleted:
        """Has a sentence made from behind the frames that there are; its terminal."""
        sentence, begun = spoken.sentence, spoken.packed
        cap = self._cap_ms(sentence)
        if begun and (self._full or spoken.num_frames >= self._max_frames(cap)):
            # It was lost with nothing but its terminal.
            return SentenceCompleted(
                FinishReason.MAX_DURATION, TurnUsage(), TurnTiming(), None, grpc.StatusCode.OK
            )
        self._running = f"{self._options.turn_id}.{len(self.spoken) - 1}"
        self._begun_frames = spoken.num_frames
        self._owed.begin()
        self._generation.speak(self._running, sentence.text, cap, seed, begun)
        self._meter.sentence_began()
        while (answer := await self._generation.answer()) is not None:
            self._owed.begin()
            if isinstance(answer, Frames):
                self._take(spoken, answer)
            elif isinstance(answer, SentenceStarted):
                self._started(spoken, answer)
            else:
                self._running = ""
                self._owed.end()
                self._meter.sentence_ended()
                self.usage = self.usage.plus(answer.usage)
                return answer
        raise BackendFailure.ended(Source.GENERATOR)

    def _started(self, spoken: SpokenSentence, answer: SentenceStarted) -> None:
        if spoken.seed is not None:
            return
        spoken.seed = answer.seed
        self._seeds_used += 1
        if len(self.spoken) == 1 or not self.num_frames:
            self._tell(Began(answer.seed))
            self._other_seed = (answer.seed + OTHER_SEED) % SEEDS
        if spoken.sentence.pause_ms and not spoken.again:
            self._pauses.add(self.num_frames, spoken.sentence.pause_ms)

    def _next_seed(self) -> int | None:
        """What a sentence is to be drawn with where the call does not say so by itself."""
        first = self._options.generation.seed
        if not self._moved or first is None:
            return None
        return (first + self._seeds_used) % SEEDS

    def _move(self, spoken: SpokenSentence) -> None:
        """Opens the generator's call anew, wherever it is to be, for a sentence to go on in."""
        self._generation.cancel()
        self._moved = True
        options = replace(
            self._options.generation,
            route=self._recovery.route,
            credit_frames=self._credit.anew(self.num_frames),
        )
        said = [segment_message(segment) for segment in self.spoken.before(spoken)]
        self._generation = Generation(
            self._backends, options, [*self._context, *said], self._left_s()
        )
        self._meter.credit_given()

    async def _may_go_on(self, failure: BackendFailure) -> bool:
        if self._stopping:
            return False
        return await self._recovery.go_on(failure, has_frames=self.num_frames > 0)

    def _left_s(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _count_what_came(self) -> None:
        """No terminal came for the running sentence: its frames are counted all the same."""
        if self._running:
            frames = self.spoken.last.num_frames - self._begun_frames
            self._running = ""
            self._meter.sentence_ended()
            self.usage = self.usage.plus(
                TurnUsage(generated_frames=frames, audio_ms=round(frames * self._frame_ms))
            )

    def _take(self, spoken: SpokenSentence, frames: Frames) -> None:
        if self._stopping or self._full:
            return
        codes, num_frames = frames.codes, frames.num_frames
        # A generator that knows of no frames but its own makes the same ones anew.
        if (known := min(spoken.num_frames - frames.first_frame, num_frames)) > 0:
            codes, num_frames = codes[known * self._frame_bytes :], num_frames - known
            if not num_frames:
                return
        self._meter.frame()
        self._recovery.got_on(Source.GENERATOR)
        most = self._options.max_frames
        if most and self.num_frames + num_frames > most:
            num_frames = most - self.num_frames
            codes = codes[: num_frames * self._frame_bytes]
        self.spoken.take(spoken, codes, num_frames)
        self._full = 0 < most <= self.num_frames
        self._decoder.feed(codes, num_frames)
        if self._full and spoken.first_frame:
            # The limit in the config is that of a sentence; the turn's is kept here.
            self._generation.stop(self._running)
        elif self.num_frames >= self._credit.granted:
            self._owed.end()
            self._meter.credit_used_up()

    def _completed(self, spoken: SpokenSentence, answer: SentenceCompleted) -> bool:
        if len(self.spoken) == 1 and not self._moved:
            self.queue_ms = answer.timing.queue_ms
            self.prefill_ms = answer.timing.prefill_ms
        if self._stopping:
            return False
        reason = answer.reason
        if self._full:
            self.finish_reason = FinishReason.MAX_DURATION
        elif reason is FinishReason.EOS:
            spoken.whole = True
            self._recovery.got_on(Source.GENERATOR)
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

    def _max_frames(self, cap: int) -> int:
        """The longest that the generator makes of a sentence."""
        default_ms = self._backends.info.generator.default_max_audio_ms or MAX_AUDIO_MS
        most_ms = cap or self._options.generation.max_audio_ms or default_ms
        return max(1, int(most_ms / self._frame_ms))

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
            or spoken.again
            or not self._early(spoken)
            or not self._decoder.withdraw(spoken.first_frame)
        ):
            return False
        self.spoken.withdraw(spoken)
        self._full = False
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
        if spoken.num_frames:
            # It was begun elsewhere, and this generator has no room for the rest.
            self.finish_reason = FinishReason.MAX_DURATION
            self._tell(ReachedCap(spoken.sentence, round(spoken.num_frames * self._frame_ms)))
            return
        self.spoken.withdraw(spoken)
        self._tell(Skipped(spoken.sentence, error))

    def _sound(self, pcm: bytes, num_frames: int) -> None:
        self._meter.decoded()
        for event in self._pauses.between(pcm, num_frames):
            self._tell(event)

    async def _watched(self) -> None:
        watch = Watch(
            self._settings,
            lambda: self._generation,
            self._owed,
            lambda: self._decoder.decoding,
            self._decoder.owed,
        )
        await watch.run(self._backends, lambda: (self._recovery.route_key, self._recovery.route))
