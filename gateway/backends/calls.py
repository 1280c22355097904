"""The two calls behind a spoken turn: Generate and StreamingDecode, without their protobuf."""

from collections.abc import Iterable
from dataclasses import dataclass

import grpc

from csm import errors
from csm.audio.frames import WIRE_DTYPE
from csm.v1 import common_pb2, generator_pb2, tokenizer_pb2
from gateway.backends.affinity import affinity, scope_of
from gateway.backends.backends import Backends
from gateway.backends.convert import (
    audio_format,
    finish_reason,
    sampling_message,
    timing,
    usage,
)
from gateway.backends.failure import BackendFailure
from gateway.backends.requests import Call
from gateway.commands import SamplingOptions, StreamFormat
from gateway.speaking.events import FinishReason, TurnTiming, TurnUsage
from gateway.speaking.fate import Source

SEGMENTS_MESSAGE_BYTES = 1 << 20
MAX_JOINED_FRAMES = 8
"""Of one message of frames that waited: as many as a tokenizer decodes in a step."""


@dataclass(frozen=True)
class GenerationOptions:
    """The config of a Generate call."""

    conversation_id: str
    """The `generator_key`; empty: of no conversation."""
    speaker: int
    sampling: SamplingOptions
    seed: int | None
    max_audio_ms: int
    credit_frames: int
    route_key: str
    """What is hashed to choose the generator: the conversation, or the turn where it has none."""
    route: int = 0
    """Which of the generators that the key could go to; see `Backends.recovered`."""
    owner: str = ""
    """Whose turn it is: it shares no cache with another's."""


@dataclass(frozen=True)
class SentenceStarted:
    """A sentence has its slot."""

    seed: int


@dataclass(frozen=True)
class Frames:
    """Its next frames, packed; `first_frame` counts from 0 in the sentence."""

    codes: bytes
    num_frames: int
    first_frame: int


@dataclass(frozen=True)
class SentenceCompleted:
    """Its terminal. `error` is the status in it, where the reason is ERROR."""

    reason: FinishReason
    usage: TurnUsage
    timing: TurnTiming
    error: errors.ServiceError | None
    code: grpc.StatusCode


Answer = SentenceStarted | Frames | SentenceCompleted


class Generation(Call):
    """One Generate call: the sentences of one spoken turn."""

    def __init__(
        self,
        backends: Backends,
        options: GenerationOptions,
        context: Iterable[common_pb2.Segment],
        timeout_s: float | None,
    ) -> None:
        super().__init__(
            Source.GENERATOR,
            backends.generator.Generate,
            timeout_s,
            affinity(options.route_key, options.route) + scope_of(options.owner),
            rpc="csm.v1.GeneratorService/Generate",
        )
        self._frame_bytes = backends.info.tokenizer.num_codebooks * WIRE_DTYPE.itemsize
        config = generator_pb2.GenerateConfig(
            conversation_id=options.conversation_id,
            speaker=options.speaker,
            sampling=sampling_message(options.sampling, options.seed),
            max_audio_ms=options.max_audio_ms,
            initial_credit_frames=options.credit_frames,
        )
        self.requests.put(generator_pb2.GenerateRequest(config=config))
        for segments in _batches(context):
            self.requests.put(generator_pb2.GenerateRequest(segments=segments))

    def speak(
        self,
        sentence_id: str,
        text: str,
        max_audio_ms: int = 0,
        seed: int | None = None,
        speaker: int | None = None,
        begun: bytes = b"",
    ) -> None:
        """Has a sentence spoken; an empty one continues the context's last audio.

        `max_audio_ms` 0, `seed` and `speaker` None: as the config says. `begun`: codes of its
        frames that exist already, and behind which it goes on.
        """
        if text:
            self.requests.put(
                generator_pb2.GenerateRequest(text=generator_pb2.GenerateText(text=text))
            )
        flush = generator_pb2.GenerateFlush(
            turn_id=sentence_id, max_audio_ms=max_audio_ms, seed=seed, speaker=speaker
        )
        if begun:
            flush.begun.codes = begun
            flush.begun.num_frames = len(begun) // self._frame_bytes
            flush.begun.num_codebooks = self._frame_bytes // WIRE_DTYPE.itemsize
        self.requests.put(generator_pb2.GenerateRequest(flush=flush))

    def replace_context(self, context: Iterable[common_pb2.Segment]) -> None:
        """Forgets what was spoken: the next sentence follows `context` alone."""
        nothing = generator_pb2.GenerateSegments(replace=True)
        for segments in list(_batches(context)) or [nothing]:
            self.requests.put(generator_pb2.GenerateRequest(segments=segments))

    def stop(self, sentence_id: str) -> None:
        """Ends a sentence in band. What is kept of it is decided here, not there."""
        self.requests.put(
            generator_pb2.GenerateRequest(cancel=generator_pb2.GenerateCancel(turn_id=sentence_id))
        )

    def give_credit(self, num_frames: int) -> None:
        """Allows further frames."""
        credit = generator_pb2.GenerateCredit(frames=num_frames)
        self.requests.put(generator_pb2.GenerateRequest(credit=credit))

    async def answer(self) -> Answer | None:
        """The next answer; None after the last. Raises `BackendFailure`."""
        message = await self.read()
        if message is None:
            return None
        kind = message.WhichOneof("response")
        if kind == "frames":
            frames = message.frames.frames
            if len(frames.codes) != frames.num_frames * self._frame_bytes:
                error = errors.Internal("the generator sent frames of the wrong width")
                raise BackendFailure(Source.GENERATOR, error.code, error)
            return Frames(frames.codes, frames.num_frames, frames.first_frame)
        if kind == "started":
            return SentenceStarted(message.started.seed)
        return _completed(message.turn_completed)


class Decoding(Call):
    """One StreamingDecode call: the sound of one spoken turn, without a seam.

    The first `sound` opens it: the first sound waits for the generator, so its call goes first.
    """

    def __init__(self, backends: Backends, form: StreamFormat, timeout_s: float | None) -> None:
        super().__init__(
            Source.TOKENIZER,
            backends.tokenizer.StreamingDecode,
            timeout_s,
            rpc="csm.v1.TokenizerService/StreamingDecode",
            at_once=False,
        )
        self._num_codebooks = backends.info.tokenizer.num_codebooks
        self._fed_frames = 0
        config = tokenizer_pb2.StreamingDecodeConfig(format=audio_format(form))
        self.requests.put(tokenizer_pb2.StreamingDecodeRequest(config=config))

    def feed(self, codes: bytes, num_frames: int) -> None:
        """Decodes these frames after those before."""
        waiting = self.requests.last
        if waiting is not None and waiting.HasField("frames"):
            joined = waiting.frames.num_frames + num_frames
            if joined <= MAX_JOINED_FRAMES:
                # It has not left yet: a message less, on the way there and on the way back.
                waiting.frames.codes += codes
                waiting.frames.num_frames = joined
                self._fed_frames += num_frames
                return
        frames = common_pb2.TokenFrames(
            codes=codes,
            num_frames=num_frames,
            num_codebooks=self._num_codebooks,
            first_frame=self._fed_frames,
        )
        self._fed_frames += num_frames
        self.requests.put(tokenizer_pb2.StreamingDecodeRequest(frames=frames))

    @property
    def closed(self) -> bool:
        """Whether no more frames come."""
        return self.requests.closed

    def close(self) -> None:
        """No more frames come."""
        self.requests.close()

    async def sound(self) -> tuple[bytes, int] | None:
        """PCM, and the frames decoded by its end; None after the last. Raises `BackendFailure`."""
        message = await self.read()
        return None if message is None else (message.audio, message.num_frames)


def _completed(message: generator_pb2.GenerateTurnCompleted) -> SentenceCompleted:
    error: errors.ServiceError | None = None
    code = grpc.StatusCode.OK
    reason = finish_reason(message.finish_reason)
    if reason is FinishReason.ERROR:
        error = errors.Internal("the generator failed")
        if message.HasField("error"):
            error = errors.from_status_message(message.error, "generator")
        code = error.code
    return SentenceCompleted(reason, usage(message.usage), timing(message.timing), error, code)


def _batches(
    context: Iterable[common_pb2.Segment],
) -> Iterable[generator_pb2.GenerateSegments]:
    batch = generator_pb2.GenerateSegments(replace=True)
    size = 0
    for segment in context:
        length = segment.ByteSize()
        if batch.segments and size + length > SEGMENTS_MESSAGE_BYTES:
            yield batch
            batch, size = generator_pb2.GenerateSegments(), 0
        batch.segments.append(segment)
        size += length
    if batch.segments:
        yield batch
