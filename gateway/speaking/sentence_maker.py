"""The generator's part of a try: sentences in, frames out, one after the other.

A call that is lost is opened elsewhere, with what the new generator needs to go on in the same
sentence: the context, the sentences before it, and its frames so far.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import grpc

from csm import errors
from csm.limits import MAX_AUDIO_MS
from gateway.backends.backends import Backends
from gateway.backends.calls import Frames, Generation, SentenceCompleted, SentenceStarted
from gateway.backends.convert import segment_message
from gateway.backends.failure import BackendFailure
from gateway.settings import GatewaySettings
from gateway.speaking.attempt_events import (
    AttemptEvent,
    AttemptOptions,
    Began,
    EndedEarly,
    ReachedCap,
    Skipped,
)
from gateway.speaking.events import FinishReason, TurnTiming, TurnUsage
from gateway.speaking.fate import Fate, Source, fate
from gateway.speaking.late_decoder import LateDecoder
from gateway.speaking.meter import TurnMeter
from gateway.speaking.pauses import Pauses
from gateway.speaking.recovery import Recovery
from gateway.speaking.resumed import KeptSentences
from gateway.speaking.sentence_queue import SentenceQueue
from gateway.speaking.spoken_sentences import SpokenSentence, SpokenSentences
from gateway.speaking.turn_credit import TurnCredit
from gateway.speaking.watch import Owed
from gateway.text.expectation import cap_ms, too_early
from gateway.text.sentence import Sentence

# How long a generator that was told of the end may take to end the stream.
END_TIMEOUT_S = 1.0
SEEDS = 1 << 64
OTHER_SEED = 0x9E3779B97F4A7C15
"""Added to the seed of a sentence that is said anew."""


@dataclass(frozen=True)
class MakerPorts:
    """What the generator's part is connected to."""

    backends: Backends
    settings: GatewaySettings
    meter: TurnMeter
    recovery: Recovery
    decoder: LateDecoder
    pauses: Pauses
    tell: Callable[[AttemptEvent], None]


class SentenceMaker:
    """A Generate call, and another one where it is lost."""

    def __init__(self, options: AttemptOptions, context: Iterable[Any], ports: MakerPorts) -> None:
        """`context` are segments as `context_messages` makes them."""
        info = ports.backends.info
        self.spoken = SpokenSentences(options.generation.speaker, info.frame_ms, options.cuts)
        self.usage = TurnUsage()
        self.queue_ms = self.prefill_ms = 0.0
        self.finish_reason = FinishReason.EOS
        self.owed = Owed()
        """An answer that the generator owes."""
        self._options = options
        self._ports = ports
        self._meter, self._recovery, self._decoder = ports.meter, ports.recovery, ports.decoder
        self._frame_ms = info.frame_ms
        self._frame_bytes = ports.decoder.form.frame_bytes
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
        self._kept = KeptSentences(options.resumed)
        self._resumed = len(self._kept) > 0
        """Sentences of another call stand before what the generator was told of."""
        self._context = list(context)
        self._credit = TurnCredit(options.generation.credit_frames)
        self.generation = Generation(
            ports.backends, options.generation, self._context, options.left_s()
        )
        """The call under way."""

    def stop(self, timeout_s: float) -> None:
        """Ends the running sentence in band, and the call at the latest after the timeout."""
        self._stopping = True
        if self._running:
            self.generation.stop(self._running)
        # A generator that does not answer must not hold the client up.
        asyncio.get_running_loop().call_later(timeout_s, lambda: self.generation.cancel())

    def give_credit(self, num_frames: int) -> None:
        """The client has taken so many more frames."""
        if batch := self._credit.give(num_frames):
            self.generation.give_credit(batch)
            self._meter.credit_given()
            if self._running:
                self.owed.begin()

    def end(self) -> None:
        """Ends the call, whatever runs in it."""
        self.generation.cancel()
        self._count_what_came()

    async def run(self, sentences: SentenceQueue) -> None:
        """Has the sentences made, to the last; raises `BackendFailure`."""
        try:
            if self._resumed:
                self._moved = True
                self._ports.tell(Began(self._kept.seed))
            while not self._stopping and (sentence := await sentences.next()) is not None:
                if not await self._speak(sentence):
                    break
            self.generation.requests.close()
            self._decoder.close()
            # The end of the stream says that the conversation's slot is free for the next.
            with contextlib.suppress(BackendFailure, TimeoutError):
                async with asyncio.timeout(END_TIMEOUT_S):
                    while await self.generation.answer() is not None:
                        pass
        except asyncio.CancelledError:
            if not self._stopping:
                raise

    async def _speak(self, sentence: Sentence) -> bool:
        """One sentence; whether to go on to the next."""
        spoken = self.spoken.begin(sentence)
        if self._take_up(spoken):
            return not self._full
        seed = self._next_seed() if spoken.seed is None else spoken.seed
        while True:
            try:
                completed = await self._made(spoken, seed)
                if self._may_try_again(spoken, completed):
                    spoken, seed = self.spoken.begin(sentence, again=True), self._other_seed
                else:
                    return self._completed(spoken, completed)
            except BackendFailure as failure:
                self.owed.end()
                self._count_what_came()
                if not await self._may_go_on(failure):
                    raise
                self._move(spoken)
                seed = self._next_seed() if spoken.seed is None else spoken.seed

    def _take_up(self, spoken: SpokenSentence) -> bool:
        """Takes what there is of the sentence from another call; whether that is all of it."""
        kept = self._kept.next(spoken.sentence.text)
        if kept is None:
            return False
        segment, spoken.seed = kept
        spoken.whole = spoken.seed is None
        self._seeds_used += 1
        if spoken.sentence.pause_ms:
            self._ports.pauses.add(self.spoken.num_frames, spoken.sentence.pause_ms)
        self.spoken.take(spoken, segment.codes, segment.num_frames)
        self._credit.granted += segment.num_frames
        self._full = 0 < self._options.max_frames <= self.spoken.num_frames
        self._decoder.feed(segment.codes, segment.num_frames)
        return spoken.whole

    async def _made(self, spoken: SpokenSentence, seed: int | None) -> SentenceCompleted:
        """Has a sentence made from behind the frames that there are; its terminal."""
        sentence, begun = spoken.sentence, spoken.packed
        cap = self._cap_ms(sentence)
        if begun and (self._full or spoken.num_frames >= self._max_frames(cap)):
            # It was lost with nothing but its terminal.
            return SentenceCompleted(
                FinishReason.MAX_DURATION, TurnUsage(), TurnTiming(), None, grpc.StatusCode.OK
            )
        if self._options.joined.let_in(self._context) or self._resumed:
            self._resumed = False
            said = [segment_message(segment) for segment in self.spoken.before(spoken)]
            self.generation.replace_context([*self._context, *said])
        self._running = f"{self._options.turn_id}.{len(self.spoken) - 1}"
        self._begun_frames = spoken.num_frames
        self.owed.begin()
        self.generation.speak(self._running, sentence.text, cap, seed, sentence.speaker, begun)
        self._meter.sentence_began()
        while (answer := await self.generation.answer()) is not None:
            self.owed.begin(flowing=isinstance(answer, Frames))
            if isinstance(answer, Frames):
                self._take(spoken, answer)
            elif isinstance(answer, SentenceStarted):
                self._started(spoken, answer)
            else:
                self._running = ""
                self.owed.end()
                self._meter.sentence_ended()
                self.usage = self.usage.plus(answer.usage)
                return answer
        raise BackendFailure.ended(Source.GENERATOR)

    def _started(self, spoken: SpokenSentence, answer: SentenceStarted) -> None:
        if spoken.seed is not None:
            return
        spoken.seed = answer.seed
        self._seeds_used += 1
        if len(self.spoken) == 1 or not self.spoken.num_frames:
            self._ports.tell(Began(answer.seed))
            self._other_seed = (answer.seed + OTHER_SEED) % SEEDS
        if spoken.sentence.pause_ms and not spoken.again:
            self._ports.pauses.add(self.spoken.num_frames, spoken.sentence.pause_ms)

    def _next_seed(self) -> int | None:
        """What a sentence is to be drawn with where the call does not say so by itself."""
        first = self._options.generation.seed
        if not self._moved or first is None:
            return None
        return (first + self._seeds_used) % SEEDS

    def _move(self, spoken: SpokenSentence) -> None:
        """Opens the generator's call anew, wherever it is to be, for a sentence to go on in."""
        self.generation.cancel()
        self._moved, self._resumed = True, False
        options = replace(
            self._options.generation,
            route=self._recovery.route,
            credit_frames=self._credit.anew(self.spoken.num_frames),
        )
        said = [segment_message(segment) for segment in self.spoken.before(spoken)]
        self.generation = Generation(
            self._ports.backends, options, [*self._context, *said], self._options.left_s()
        )
        self._meter.credit_given()

    async def _may_go_on(self, failure: BackendFailure) -> bool:
        if self._stopping:
            return False
        return await self._recovery.go_on(failure, has_frames=self.spoken.num_frames > 0)

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
        if most and self.spoken.num_frames + num_frames > most:
            num_frames = most - self.spoken.num_frames
            codes = codes[: num_frames * self._frame_bytes]
        self.spoken.take(spoken, codes, num_frames)
        self._full = 0 < most <= self.spoken.num_frames
        self._decoder.feed(codes, num_frames)
        if self._full and spoken.first_frame:
            # The limit in the config is that of a sentence; the turn's is kept here.
            self.generation.stop(self._running)
        elif self.spoken.num_frames >= self._credit.granted:
            self.owed.end()
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
                self._ports.tell(EndedEarly(spoken.sentence, audio_ms))
        elif reason is FinishReason.MAX_DURATION:
            self.finish_reason = FinishReason.MAX_DURATION
            self._ports.tell(ReachedCap(spoken.sentence, round(spoken.num_frames * self._frame_ms)))
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
        default_ms = self._ports.backends.info.generator.default_max_audio_ms or MAX_AUDIO_MS
        most_ms = cap or self._options.generation.max_audio_ms or default_ms
        return max(1, int(most_ms / self._frame_ms))

    def _early(self, spoken: SpokenSentence) -> bool:
        return too_early(spoken.num_frames * self._frame_ms, spoken.sentence.expected_ms)

    def _may_try_again(self, spoken: SpokenSentence, answer: SentenceCompleted) -> bool:
        """Whether a sentence that ended far too early is taken back, to be said anew.

        Never under a seed that the caller chose: the same seed is the same speech.
        """
        if (
            not self._ports.settings.retry_early_end
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
        said = [segment_message(s) for s in self.spoken.segments(self.spoken.num_frames)]
        self.generation.replace_context([*self._context, *said])
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
            self._ports.tell(ReachedCap(spoken.sentence, round(spoken.num_frames * self._frame_ms)))
            return
        self.spoken.withdraw(spoken)
        self._ports.tell(Skipped(spoken.sentence, error))
