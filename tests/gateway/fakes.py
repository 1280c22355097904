"""A tokenizer and a generator that speak the real wire, quickly and predictably, and can fail.

The generator makes `frames_per_char` frames for each character of a sentence (rounded up): frame n
of the stream's whole life has all its codes equal to n modulo 1000, so a test can tell frames
apart. Behind frames that a flush brings, the numbers go on from theirs. The tokenizer makes of a
frame 1920 samples of S16LE, each equal to the frame's first code.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import numpy as np

from csm import errors
from csm.audio.pcm import BYTES_PER_SAMPLE, pcm_bytes
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings
from csm.v1 import (
    common_pb2,
    generator_pb2,
    generator_pb2_grpc,
    speech_pb2_grpc,
    tokenizer_pb2,
    tokenizer_pb2_grpc,
)
from gateway.service import GatewayService
from gateway.settings import GatewaySettings

K = 8
CODEBOOK_SIZE = 512
RATE = 24_000
FRAME_SAMPLES = 1920
AUDIBLE = 8192
"""In the middle of a frame its samples are so many more: as loud as speech."""
FRAME_MS = 80
_TELEPHONE = (common_pb2.AUDIO_ENCODING_MULAW, common_pb2.AUDIO_ENCODING_ALAW)

EOS = common_pb2.FINISH_REASON_EOS
MAX_DURATION = common_pb2.FINISH_REASON_MAX_DURATION
CANCELLED = common_pb2.FINISH_REASON_CANCELLED
SHUTDOWN = common_pb2.FINISH_REASON_SHUTDOWN
ERROR = common_pb2.FINISH_REASON_ERROR


def samples_of(code: int, num_samples: int = FRAME_SAMPLES) -> Any:
    """The sound of a frame, int16: its code where it begins and ends, so that no seam is heard, and
    loud in between."""
    samples = np.full(num_samples, code, "<i2")
    samples[num_samples // 3 : 2 * num_samples // 3] += AUDIBLE
    return samples


class Backend:
    """A fake on a port that it keeps across restarts."""

    name = ""

    def __init__(self) -> None:
        self.host: Host | None = None
        self.port = 0
        self.drains_s = 0.0
        self.settings: dict[str, Any] = {}
        """Further ones of its host."""

    async def up(self) -> None:
        settings = ServiceSettings(
            port=self.port, reflection=False, max_concurrent_rpcs=1000, **self.settings
        )
        self.host = Host(self, settings, Metrics())  # type: ignore[arg-type]
        await self.host.start()
        self.port = self.host.port

    async def down(self) -> None:
        """Dies: connections are cut."""
        if self.host is not None:
            await self.host.server.stop(0)
            if self.host._watch is not None:
                self.host._watch.cancel()
            await self.host._tracing.close()
            self.host = None

    async def start(self) -> None: ...

    def alive(self) -> bool:
        return True

    async def drain(self, finish_s: float) -> None:
        await asyncio.sleep(self.drains_s)

    async def stop(self) -> None: ...


class FakeGenerator(Backend, generator_pb2_grpc.GeneratorServiceServicer):
    """See the module."""

    name = "csm.v1.GeneratorService"

    def __init__(self) -> None:
        super().__init__()
        self.frames_per_char = 0.2
        self.frame_s = 0.0
        """Seconds that a frame takes."""
        self.finish: dict[int, int] = {}
        """Turn of a stream (from 0) -> the reason it ends with instead of EOS."""
        self.fail_before_frame: dict[int, Exception] = {}
        """Frames that were sent in all -> what the next stream raises instead of the next frame."""
        self.fails_every = 0
        """Frames after which every stream fails; 0: it does not."""
        self.fail_before_end: list[Exception] = []
        """Raised by the next streams instead of a sentence's terminal, one each."""
        self.ends_with = 0
        """What every sentence under way ends with, at once; 0: nothing."""
        self.refuse_later: list[errors.ServiceError] = []
        """As `refuse`, by the streams behind the first."""
        self.early: dict[int, int] = {}
        """Turn of a stream (from 0) -> the frames after which it ends, once."""
        self.knows_begun = True
        """False: it is of a version that knows no frames but its own."""
        self.counts_on = False
        """True: the numbers of a stream go on behind those of its context."""
        self.deaf_to_cancel = False
        self.mute = asyncio.Event()
        self.mute.set()
        """Cleared: generation stands still."""
        self.streams: list[Stream] = []
        self.running = 0
        self.evicted: list[str] = []
        self.metadata: list[dict[str, Any]] = []
        self.num_codebooks = K
        self.max_positions = 2048
        self.refuse: list[errors.ServiceError] = []
        """Raised at the flush of the next streams, one each."""
        self.unspeakable: dict[str, errors.ServiceError] = {}
        """A part of a sentence -> what its terminal says: it cannot be spoken."""
        self.silent_streams: set[int] = set()
        """Numbers of streams (from 0) that never answer a flush, as of an engine that hangs."""
        self.silent_before_frame: set[int] = set()
        """Frames that were sent in all -> the next stream stands still there."""
        self.load = generator_pb2.GetLoadResponse(slots=4, running=1)
        self.max_pinned_positions = 1 << 30
        """Frames and characters of pinned segments beyond which a stream is refused."""
        self.voices: list[generator_pb2.ModelVoice] = []
        self.default_max_audio_ms = 600_000
        self.characters = ""
        """Those that it can read; empty: any."""
        self.counted: list[list[str]] = []
        """The texts of each CountPositions call."""
        self.refuse_streams: list[errors.ServiceError] = []
        """Raised by the next calls at once, one each."""

    def register(self, server: grpc.aio.Server) -> None:
        generator_pb2_grpc.add_GeneratorServiceServicer_to_server(self, server)

    async def GetModelInfo(self, request: Any, context: Any) -> Any:
        return generator_pb2.GetModelInfoResponse(
            model="fake",
            num_codebooks=self.num_codebooks,
            codebook_size=CODEBOOK_SIZE,
            max_positions=self.max_positions,
            slots=4,
            dtype="float32",
            device="cpu",
            digest="ab",
            max_text_chars=4096,
            voices=self.voices,
            default_max_audio_ms=self.default_max_audio_ms,
            characters=self.characters,
        )

    async def CountPositions(self, request: Any, context: Any) -> Any:
        texts = list(request.texts)
        self.counted.append(texts)
        counts = [len(text) + 2 if any(map(str.isalnum, text)) else 0 for text in texts]
        return generator_pb2.CountPositionsResponse(positions=counts)

    async def GetLoad(self, request: Any, context: Any) -> Any:
        return self.load

    async def EvictConversation(self, request: Any, context: Any) -> Any:
        self.evicted.append(request.conversation_id)
        return generator_pb2.EvictConversationResponse(evicted=True)

    async def Generate(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        if self.refuse_streams:
            raise self.refuse_streams.pop(0)
        stream = Stream(self)
        self.streams.append(stream)
        self.metadata.append(dict(context.invocation_metadata()))
        reader = asyncio.create_task(stream.read(request_iterator))
        self.running += 1
        try:
            async for answer in stream.answers():
                yield answer
        finally:
            self.running -= 1
            stream.over = True
            reader.cancel()


class Stream:
    """One Generate call: what came in, and what goes out."""

    def __init__(self, generator: FakeGenerator) -> None:
        self.generator = generator
        self.config = generator_pb2.GenerateConfig()
        self.context: list[common_pb2.Segment] = []
        self.texts: list[str] = []
        self.flushes: list[generator_pb2.GenerateFlush] = []
        self.cancels: list[tuple[str, int | None]] = []
        self.credit = 0
        self.credit_messages = 0
        self.sent = 0
        self.number = 0
        self.over = False
        self._text = ""
        self._too_long: errors.ServiceError | None = None
        self._flushes: asyncio.Queue[tuple[Any, str] | None] = asyncio.Queue()
        self._cancelled: set[str] = set()
        self._wake = asyncio.Event()

    async def read(self, requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            kind = request.WhichOneof("request")
            if kind == "config":
                self.config = request.config
                self.credit = request.config.initial_credit_frames
            elif kind == "segments":
                if request.segments.replace:
                    self.context.clear()
                self.context.extend(request.segments.segments)
                taken = sum(s.frames.num_frames + len(s.text) for s in self.context if s.pinned)
                if taken > self.generator.max_pinned_positions:
                    self._too_long = errors.invalid(
                        "segments.segments",
                        f"the pinned segments take {taken} positions; at most "
                        f"{self.generator.max_pinned_positions} are left",
                    )
                    break
            elif kind == "text":
                self._text += request.text.text
            elif kind == "flush":
                self.texts.append(self._text)
                self.flushes.append(request.flush)
                self._flushes.put_nowait((request.flush, self._text))
                self._text = ""
            elif kind == "cancel":
                keep = (
                    request.cancel.keep_frames if request.cancel.HasField("keep_frames") else None
                )
                self.cancels.append((request.cancel.turn_id, keep))
                if not self.generator.deaf_to_cancel:
                    self._cancelled.add(request.cancel.turn_id)
            elif kind == "credit":
                self.credit += request.credit.frames
                self.credit_messages += 1
            self._wake.set()
        self._flushes.put_nowait(None)

    async def answers(self) -> AsyncIterator[Any]:
        number = 0
        while (flushed := await self._flushes.get()) is not None:
            flush, text = flushed
            if self.generator.refuse:
                raise self.generator.refuse.pop(0)
            if self.generator.refuse_later and self is not self.generator.streams[0]:
                raise self.generator.refuse_later.pop(0)
            if self.generator.streams.index(self) in self.generator.silent_streams:
                await asyncio.Event().wait()
            wrong = [e for part, e in self.generator.unspeakable.items() if part in text]
            if wrong:
                yield _refused(flush.turn_id, wrong[0])
                continue
            async for answer in self._turn(number, flush, text):
                yield answer
            number += 1
        if self._too_long is not None:
            raise self._too_long

    async def _turn(self, number: int, flush: Any, text: str) -> AsyncIterator[Any]:
        generator, turn_id = self.generator, flush.turn_id
        first = self.config.sampling.seed if self.config.sampling.HasField("seed") else 1000
        seed = flush.seed if flush.HasField("seed") else first + number
        yield generator_pb2.GenerateResponse(
            started=generator_pb2.GenerateStarted(turn_id=turn_id, seed=seed)
        )
        wanted = max(1, math.ceil(len(text) * generator.frames_per_char)) if text else 5
        reason = EOS
        wanted = generator.early.pop(number, wanted)
        limit = (flush.max_audio_ms or self.config.max_audio_ms) // FRAME_MS
        if limit and wanted >= limit:
            wanted, reason = limit, MAX_DURATION
        begun = flush.begun if generator.knows_begun else common_pb2.TokenFrames()
        if begun.num_frames:
            self.number = _first_code(begun.codes[-2 * K :]) + 1
        elif generator.counts_on and not number and self.context:
            self.number = _first_code(self.context[-1].frames.codes[-2 * K :]) + 1
        made = begun.num_frames
        while made < wanted:
            if turn_id in self._cancelled:
                reason = CANCELLED
                break
            if self.sent in generator.silent_before_frame:
                generator.silent_before_frame.remove(self.sent)
                await asyncio.Event().wait()
            if generator.ends_with:
                reason = generator.ends_with
                break
            failure = generator.fail_before_frame.pop(self.sent, None)
            if generator.fails_every and self.sent >= generator.fails_every:
                failure = errors.Unavailable("fails on and on")
            if failure is not None:
                raise failure
            if self.sent >= self.credit > 0 or not generator.mute.is_set():
                self._wake.clear()
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), 0.02)
                continue
            if generator.frame_s:
                await asyncio.sleep(generator.frame_s)
            codes = np.full((1, K), self.number % CODEBOOK_SIZE, "<u2")
            yield generator_pb2.GenerateResponse(
                frames=generator_pb2.GenerateFrames(
                    turn_id=turn_id,
                    frames=common_pb2.TokenFrames(
                        codes=codes.tobytes(), num_frames=1, num_codebooks=K, first_frame=made
                    ),
                )
            )
            made += 1
            self.sent += 1
            self.number += 1
        if generator.fail_before_end:
            raise generator.fail_before_end.pop(0)
        reason = generator.finish.get(number, reason) if reason == EOS else reason
        yield generator_pb2.GenerateResponse(
            turn_completed=generator_pb2.GenerateTurnCompleted(
                turn_id=turn_id,
                finish_reason=reason,
                usage=common_pb2.Usage(
                    text_tokens=len(text),
                    prompt_frames=10,
                    reused_frames=4,
                    generated_frames=made - begun.num_frames,
                    audio_ms=(made - begun.num_frames) * FRAME_MS,
                ),
                timing=common_pb2.Timing(queue_ms=1.5, prefill_ms=2.5),
            )
        )


def _first_code(codes: bytes) -> int:
    return int(np.frombuffer(codes, "<u2")[0])


def _refused(turn_id: str, error: errors.ServiceError) -> Any:
    completed = generator_pb2.GenerateTurnCompleted(
        turn_id=turn_id, finish_reason=ERROR, error=errors.status_message(error)
    )
    return generator_pb2.GenerateResponse(turn_completed=completed)


def tone_with_quiet(frames: Any, num_samples: int) -> Any:
    """A tone of 1 kHz at half of full scale, with a tenth of quiet in each second."""
    t = np.arange(num_samples) / RATE
    return 0.5 * np.sin(2 * np.pi * 1000 * t) * (t % 1 < 0.9)


class FakeTokenizer(Backend, tokenizer_pb2_grpc.TokenizerServiceServicer):
    """See the module. Encoding makes a frame of each 1920 samples; codes tell their number."""

    name = "csm.v1.TokenizerService"

    def __init__(self) -> None:
        super().__init__()
        self.decoding = 0
        self.encoding = 0
        self.fail_decode_at: dict[int, Exception] = {}
        """Frames decoded -> what the next decoder raises instead of the next."""
        self.fail_encode: list[errors.ServiceError] = []
        self.wave: Callable[[int, int], Any] = lambda code, num_samples: np.full(
            num_samples, code / 32768
        )
        """(code, samples) -> what a frame is where float samples are asked for."""
        self.recording: Callable[[Any, int], Any] = tone_with_quiet
        """(frames, samples) -> what `Decode` makes of them as float samples."""
        self.refuse_later: list[Exception] = []
        """Raised by the next decoders behind the first, one each."""
        self.hang_decode_at: set[int] = set()
        """Frames decoded -> the next decoder stands still there, and with `hangs_again` all do."""
        self.hangs_again = False
        self.full = 0
        """So many decoders are refused a place, after their first frames have come."""
        self.hang_at_end = 0
        """So many decoders give all their sound, and then no end."""
        self.digest = "cd"
        self.decoded_frames: list[int] = []
        self.formats: list[common_pb2.AudioFormat] = []
        """What each decoder was asked for."""
        self.heard_formats: list[common_pb2.AudioFormat] = []
        self.heard_bytes = 0
        self.files: list[bytes] = []
        self.max_samples: list[int] = []
        """What each Encode call could use."""
        self.mends: list[bool] = []
        """Whether each Encode call was to mend."""
        self.odd: list[str] = []
        """What Encode says of every file."""
        self.encode_s = 0.0
        """Seconds that a file takes."""
        self.encodes = self.most_encodes = 0
        self.hearing = asyncio.Event()
        self.hearing.set()
        """Cleared: no heard audio is taken in."""
        self.refuse_files: list[errors.ServiceError] = []
        """Raised by the next Encode calls, one each."""

    def register(self, server: grpc.aio.Server) -> None:
        tokenizer_pb2_grpc.add_TokenizerServiceServicer_to_server(self, server)

    async def GetTokenizerInfo(self, request: Any, context: Any) -> Any:
        return tokenizer_pb2.GetTokenizerInfoResponse(
            model="fake",
            sample_rate_hz=RATE,
            frame_rate_hz=12.5,
            frame_samples=FRAME_SAMPLES,
            num_codebooks=K,
            codebook_size=CODEBOOK_SIZE,
            digest=self.digest,
        )

    async def Encode(self, request_iterator: Any, context: Any) -> Any:
        if self.refuse_files:
            raise self.refuse_files.pop(0)
        data = b""
        async for request in request_iterator:
            data += request.audio
            if request.WhichOneof("request") == "config":
                self.max_samples.append(request.config.max_samples)
                self.mends.append(request.config.mend)
            if len(data) >= 4 and not data.startswith(b"RIFF"):
                break
        self.files.append(data)
        self.encodes += 1
        self.most_encodes = max(self.most_encodes, self.encodes)
        await asyncio.sleep(self.encode_s)
        self.encodes -= 1
        if not data.startswith(b"RIFF"):
            raise errors.invalid("audio", "is no audio")
        codes = np.full((len(data) // 100, K), len(data) % CODEBOOK_SIZE, "<u2")
        return tokenizer_pb2.EncodeResponse(
            frames=common_pb2.TokenFrames(
                codes=codes.tobytes(), num_frames=len(codes), num_codebooks=K
            ),
            warnings=[
                common_pb2.Warning(
                    kind=common_pb2.WARNING_KIND_RECORDING, field="audio", description=one
                )
                for one in self.odd
            ],
        )

    async def Decode(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Of F32LE: `recording`. Of S16LE: in each frame its first code."""
        num_samples = request.num_samples or request.frames.num_frames * FRAME_SAMPLES
        if request.format.encoding == common_pb2.AUDIO_ENCODING_PCM_F32LE:
            pcm = self.recording(request.frames, num_samples).astype("<f4").tobytes()
            for at in range(0, len(pcm), 1 << 20):
                yield tokenizer_pb2.DecodeResponse(audio=pcm[at : at + (1 << 20)])
            return
        rows = np.frombuffer(request.frames.codes, "<u2").reshape(-1, K)
        for row in rows:
            pcm = np.full(min(num_samples, FRAME_SAMPLES), row[0], "<i2").tobytes()
            num_samples -= len(pcm) // 2
            yield tokenizer_pb2.DecodeResponse(audio=pcm)

    async def StreamingEncode(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        self.encoding += 1
        pending, frames = 0, 0
        try:
            async for request in request_iterator:
                await self.hearing.wait()
                if self.fail_encode:
                    raise self.fail_encode.pop()
                if request.WhichOneof("request") == "config":
                    self.heard_formats.append(request.config.format)
                self.heard_bytes += len(request.audio)
                pending += len(request.audio)
                while pending >= 2 * FRAME_SAMPLES:
                    pending -= 2 * FRAME_SAMPLES
                    yield _encoded(frames)
                    frames += 1
            if pending:
                yield _encoded(frames)
                frames += 1
            yield tokenizer_pb2.StreamingEncodeResponse(
                completed=tokenizer_pb2.StreamingEncodeCompleted(num_frames=frames)
            )
        finally:
            self.encoding -= 1

    async def StreamingDecode(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        if self.decoded_frames and self.refuse_later:
            raise self.refuse_later.pop(0)
        self.decoding += 1
        frames = 0
        width = FRAME_SAMPLES * 2
        try:
            async for request in request_iterator:
                if request.WhichOneof("request") == "config":
                    form = request.config.format
                    self.formats.append(form)
                    width = (form.sample_rate_hz or RATE) * FRAME_MS // 1000 * (form.channels or 1)
                    width *= BYTES_PER_SAMPLE[form.encoding] if form.encoding else 2
                    continue
                if self.full:
                    self.full -= 1
                    raise errors.QueueFull("all decode streams are in use")
                codes = np.frombuffer(request.frames.codes, "<u2").reshape(-1, K)
                assert request.frames.first_frame == frames
                for row in codes:
                    if failure := self.fail_decode_at.pop(frames, None):
                        raise failure
                    if frames in self.hang_decode_at:
                        if not self.hangs_again:
                            self.hang_decode_at.remove(frames)
                        await asyncio.Event().wait()
                    self.decoded_frames.append(int(row[0]))
                    pcm = samples_of(int(row[0]), width // 2).tobytes()
                    if form.encoding in _TELEPHONE:
                        samples = samples_of(int(row[0]), width) / np.float32(32768)
                        pcm = pcm_bytes(samples, form.encoding)
                    elif form.encoding == common_pb2.AUDIO_ENCODING_PCM_F32LE:
                        pcm = self.wave(int(row[0]), width // 4).astype("<f4").tobytes()
                    yield tokenizer_pb2.StreamingDecodeResponse(
                        audio=pcm, first_sample=frames * FRAME_SAMPLES, num_frames=frames + 1
                    )
                    frames += 1
            if self.hang_at_end:
                self.hang_at_end -= 1
                await asyncio.Event().wait()
        finally:
            self.decoding -= 1


def _encoded(frame: int) -> Any:
    codes = np.full((1, K), 100 + frame, "<u2")
    return tokenizer_pb2.StreamingEncodeResponse(
        frames=common_pb2.TokenFrames(
            codes=codes.tobytes(), num_frames=1, num_codebooks=K, first_frame=frame
        )
    )


class Stack:
    """The gateway in front of both fakes, and a stub to talk to it."""

    def __init__(self) -> None:
        self.generator = FakeGenerator()
        self.tokenizer = FakeTokenizer()
        self.metrics = Metrics()
        self.channel: grpc.aio.Channel | None = None

    async def up(self, **settings: Any) -> None:
        await self.generator.up()
        await self.tokenizer.up()
        settings = {
            "port": 0,
            "metrics_port": None,
            "tokenizer_target": f"127.0.0.1:{self.tokenizer.port}",
            "generator_target": f"127.0.0.1:{self.generator.port}",
            "backend_refresh_s": 0.2,
            "backend_retry_s": 0.05,
            "failover_s": 0.5,
            **settings,
        }
        await self.serve(GatewaySettings(**settings))

    async def serve(self, settings: GatewaySettings) -> None:
        """Only the gateway, as the settings say."""
        self.settings = settings
        self.service = GatewayService(self.settings, self.metrics)
        self.host = Host(self.service, self.settings, self.metrics)
        await self.host.start()
        self.channel = grpc.aio.insecure_channel(self.host.address)
        self.stub: Any = speech_pb2_grpc.SpeechServiceStub(self.channel)

    @property
    def http(self) -> str:
        """Where HTTP is served; a stack has it with http_port=0."""
        assert self.service.door is not None
        return f"http://127.0.0.1:{self.service.door.port}"

    async def close(self) -> None:
        """Only the gateway."""
        if self.channel is not None:
            await self.channel.close()
            await self.host.stop(finish_s=0.5)
        else:  # it did not start
            await self.service.stop()
            await self.host.server.stop(0)

    async def down(self) -> None:
        await self.close()
        await self.generator.down()
        await self.tokenizer.down()

    def sample(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where it was never touched."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def settled(self) -> None:
        """Returns when no backend holds anything for us; fails after two seconds."""
        for _ in range(200):
            busy = self.generator.running + self.tokenizer.decoding + self.tokenizer.encoding
            if not busy and not self.sample("csm_gateway_streams_active"):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(
            f"still held: {self.generator.running} generations, {self.tokenizer.decoding} "
            f"decodings, {self.tokenizer.encoding} encodings"
        )


@contextlib.asynccontextmanager
async def stack(**settings: Any) -> AsyncIterator[Stack]:
    """A running stack."""
    running = Stack()
    try:
        await running.up(**settings)
        yield running
    finally:
        await running.down()
