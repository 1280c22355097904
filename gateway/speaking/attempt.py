"""One try at a spoken turn: a generator stream, a decoder stream, and the sentences between.

Sentences come from a `SentenceQueue` as the text arrives. The next one is submitted when the
generator is done with the one before, not when that has been played; all frames go through one
decoder, so there is no seam.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import grpc

from csm import errors
from csm.audio.frames import WIRE_DTYPE
from csm.v1 import common_pb2, generator_pb2
from gateway.backends.backends import Backends
from gateway.backends.calls import Decoding, Generation, UpstreamFailure
from gateway.conversations.store import Segment, cut
from gateway.speaking.meter import TurnMeter
from gateway.speaking.sentence_queue import SentenceQueue
from gateway.text.sentences import Sentence

EOS = common_pb2.FINISH_REASON_EOS
MAX_DURATION = common_pb2.FINISH_REASON_MAX_DURATION
CANCELLED = common_pb2.FINISH_REASON_CANCELLED
DEADLINE = common_pb2.FINISH_REASON_DEADLINE
SHUTDOWN = common_pb2.FINISH_REASON_SHUTDOWN

# A guess at the pace of speech, for a sentence that was never finished.
CHARS_PER_SECOND = 14
# How long a generator that was told of the end may take to end the stream.
END_TIMEOUT_S = 1.0


@dataclass(slots=True)
class Spoken:
    """A sentence that was submitted, and its frames."""

    sentence: Sentence
    first_frame: int
    codes: list[bytes] = field(default_factory=list)
    num_frames: int = 0
    whole: bool = False
    """The model itself ended it: the frames are those of the whole text."""


class Attempt:
    """The two streams and what came through them."""

    def __init__(
        self,
        turn_id: str,
        config: generator_pb2.GenerateConfig,
        form: common_pb2.AudioFormat,
        context: Iterable[common_pb2.Segment],
        max_frames: int,
        backends: Backends,
        meter: TurnMeter,
        timeout_s: float | None,
        on_started: Callable[[int], None],
        on_audio: Callable[[bytes, int], None],
    ) -> None:
        """`max_frames` ends the whole turn, 0: none. `on_started` gets the seed, `on_audio`
        PCM and the frames decoded by its end."""
        info = backends.info
        self.spoken: list[Spoken] = []
        self.num_frames = 0
        self.usage = common_pb2.Usage()
        self.queue_ms = self.prefill_ms = 0.0
        self.finish_reason = EOS
        self._turn_id = turn_id
        self._speaker = config.speaker
        self._max_frames = max_frames
        self._frame_ms = info.frame_ms
        self._frame_bytes = info.tokenizer.num_codebooks * WIRE_DTYPE.itemsize
        self._meter = meter
        self._on_started = on_started
        self._on_audio = on_audio
        self._running = ""
        self._stopping = False
        self._decoded = False
        self._generation = Generation(backends, config, context, timeout_s)
        self._decoding = Decoding(backends, form, timeout_s)
        meter.submitted()

    async def run(self, script: SentenceQueue) -> None:
        """Speaks the script to its end; raises `UpstreamFailure`."""
        generate = asyncio.create_task(self._generate(script))
        decode = asyncio.create_task(self._decode())
        tasks = (generate, decode)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            if generate in done and decode not in done and self._decoded:
                # The generator failed; the frames that it made are good, and the client listens.
                self._decoding.requests.close()
                await asyncio.wait((decode,), timeout=END_TIMEOUT_S)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            self._generation.cancel()
            self._decoding.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._running:
                # No terminal came for this one: count what did come.
                frames = self.spoken[-1].num_frames
                self.usage.generated_frames += frames
                self.usage.audio_ms += round(frames * self._frame_ms)

    def stop(self, keep_frames: int, timeout_s: float) -> None:
        """Ends the running sentence in band; `keep_frames` of the turn stay in the context.

        `run` returns when the generator has said so, or after the timeout.
        """
        self._stopping = True
        self._decoding.cancel()
        if self._running:
            kept = max(0, keep_frames - self.spoken[-1].first_frame)
            self._generation.cancel_turn(self._running, kept)
        # A generator that does not answer must not hold the client up.
        asyncio.get_running_loop().call_later(timeout_s, self._generation.cancel)

    def give_credit(self, num_frames: int) -> None:
        """The client took that many frames more."""
        if self._generation.give_credit(num_frames):
            self._meter.credit_given()

    def text_chars(self, num_frames: int) -> int:
        """Characters of the text whose sentence has begun within the first `num_frames`."""
        begun = [s for s in self.spoken if s.first_frame < num_frames]
        return begun[-1].sentence.end_chars if begun else 0

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
                break
            text, codes = spoken.sentence.text, b"".join(spoken.codes)
            whole_frames = spoken.num_frames
            if not spoken.whole:
                whole_frames = max(whole_frames, round(len(text) * frames_per_char))
            segment = Segment(self._speaker, text, codes, spoken.num_frames)
            found.append(cut(segment, frames, whole_frames))
        return found

    async def _generate(self, script: SentenceQueue) -> None:
        try:
            while not self._stopping and (sentence := await script.next()) is not None:
                if not await self._speak(sentence):
                    break
            self._generation.requests.close()
            self._decoding.requests.close()
            # The end of the stream says that the conversation's slot is free for the next.
            with contextlib.suppress(UpstreamFailure, TimeoutError):
                async with asyncio.timeout(END_TIMEOUT_S):
                    while await self._generation.read() is not None:
                        pass
        except asyncio.CancelledError:
            if not self._stopping:
                raise

    async def _speak(self, sentence: Sentence) -> bool:
        """One sentence; whether to go on to the next."""
        spoken = Spoken(sentence, self.num_frames)
        self._running = f"{self._turn_id}.{len(self.spoken)}"
        self.spoken.append(spoken)
        self._generation.speak(self._running, sentence.text)
        self._meter.sentence_began()
        while (answer := await self._generation.read()) is not None:
            kind = answer.WhichOneof("response")
            if kind == "frames":
                self._take(spoken, answer.frames.frames)
            elif kind == "started":
                self._on_started(answer.started.seed)
            else:
                self._running = ""
                self._meter.sentence_ended()
                return self._completed(spoken, answer.turn_completed)
        raise UpstreamFailure(
            "generator",
            grpc.StatusCode.UNAVAILABLE,
            errors.Unavailable("the generator ended the call"),
        )

    def _take(self, spoken: Spoken, frames: common_pb2.TokenFrames) -> None:
        if self._stopping or self._full:
            return
        if len(frames.codes) != frames.num_frames * self._frame_bytes:
            raise UpstreamFailure(
                "generator",
                grpc.StatusCode.INTERNAL,
                errors.Internal("the generator sent frames of the wrong width"),
            )
        self._meter.frame()
        frames.first_frame = self.num_frames
        if self._max_frames and self.num_frames + frames.num_frames > self._max_frames:
            frames.num_frames = self._max_frames - self.num_frames
            frames.codes = frames.codes[: frames.num_frames * self._frame_bytes]
        spoken.codes.append(frames.codes)
        spoken.num_frames += frames.num_frames
        self.num_frames += frames.num_frames
        self._decoding.feed(frames)
        if self._full and spoken.first_frame:
            # The limit in the config is that of a sentence; the turn's is kept here.
            self._generation.cancel_turn(self._running, spoken.num_frames)
        elif self.num_frames >= self._generation.credit_granted:
            self._meter.credit_used_up()

    @property
    def _full(self) -> bool:
        return 0 < self._max_frames <= self.num_frames

    def _completed(self, spoken: Spoken, message: generator_pb2.GenerateTurnCompleted) -> bool:
        usage, reason = self.usage, message.finish_reason
        if len(self.spoken) == 1:
            self.queue_ms = message.timing.queue_ms
            self.prefill_ms = message.timing.prefill_ms
        usage.text_tokens += message.usage.text_tokens
        usage.prompt_frames += message.usage.prompt_frames
        usage.reused_frames += message.usage.reused_frames
        usage.generated_frames += message.usage.generated_frames
        usage.audio_ms += message.usage.audio_ms
        usage.evicted_segments += message.usage.evicted_segments
        if self._stopping:
            return False
        if self._full:
            self.finish_reason = MAX_DURATION
        elif reason == EOS:
            spoken.whole = True
        elif reason == MAX_DURATION:
            self.finish_reason = MAX_DURATION
        elif reason == DEADLINE:
            self.finish_reason = DEADLINE
            return False
        elif reason == SHUTDOWN:
            raise UpstreamFailure(
                "generator",
                grpc.StatusCode.UNAVAILABLE,
                errors.Unavailable("the generator is shutting down"),
                SHUTDOWN,
            )
        else:
            raise UpstreamFailure(
                "generator", grpc.StatusCode.INTERNAL, errors.Internal("the generator failed")
            )
        return not self._full

    async def _decode(self) -> None:
        try:
            while (answer := await self._decoding.read()) is not None:
                if answer.audio and not self._stopping:
                    self._decoded = True
                    self._meter.decoded()
                    self._on_audio(answer.audio, answer.num_frames)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        if not self._stopping and not self._decoding.requests.closed:
            raise UpstreamFailure(
                "tokenizer",
                grpc.StatusCode.UNAVAILABLE,
                errors.Unavailable("the tokenizer ended the call"),
            )
