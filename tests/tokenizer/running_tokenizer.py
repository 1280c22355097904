"""A tokenizer on a real gRPC server with the voice of the repository, and a client of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from csm.audio import frames
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.v1 import common_pb2, tokenizer_pb2, tokenizer_pb2_grpc
from services.tokenizer.main import build
from services.tokenizer.service import TokenizerService
from services.tokenizer.settings import TokenizerSettings
from tests.pico import BOOKS, CODEBOOK_SIZE, PICO

F32 = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE)
FILE = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_FILE)


def random_codes(num_frames: int, seed: int = 0) -> NDArray[np.uint16]:
    """Random frames [n, codebooks]."""
    drawn = np.random.default_rng(seed).integers(0, CODEBOOK_SIZE, (num_frames, BOOKS))
    return drawn.astype(np.uint16)


def unpacked(message: common_pb2.TokenFrames) -> NDArray[np.uint16]:
    """A message's frames [n, codebooks]."""
    return frames.unpack(message, num_codebooks=BOOKS, codebook_size=CODEBOOK_SIZE)


def chirp(num_samples: int, rate_hz: int = 24000, seed: int = 0) -> NDArray[np.float32]:
    """A sweep, so that codes vary."""
    t = np.arange(num_samples) / rate_hz
    phase = 2 * np.pi * (150 + 20 * seed) * t * (1 + 0.8 * t)
    return np.asarray(0.5 * np.sin(phase) * (0.6 + 0.4 * np.sin(9 * t)), np.float32)


class Tokenizer:
    """A running tokenizer and a client of it."""

    def __init__(self, **settings: Any) -> None:
        self.settings = TokenizerSettings(port=0, metrics_port=None, model=PICO, **settings)
        self.metrics = Metrics()
        self.service: TokenizerService = build(self.settings, self.metrics)
        self.host = Host(self.service, self.settings, self.metrics)

    async def start(self) -> "Tokenizer":
        await self.host.start()
        self.channel = grpc.aio.insecure_channel(self.host.address)
        self.stub: Any = tokenizer_pb2_grpc.TokenizerServiceStub(self.channel)
        return self

    async def stop(self) -> None:
        await self.channel.close(None)
        await self.host.stop(finish_s=0.0)

    @property
    def registry(self) -> CollectorRegistry:
        return self.metrics.registry

    def value(self, name: str, **labels: str) -> float:
        """The present value of a metric."""
        found = self.registry.get_sample_value(name, labels)
        assert found is not None, f"no metric {name} {labels}"
        return found

    def active(self) -> float:
        """Streams that hold a codec state, by the metrics."""
        name = "csm_tokenizer_sessions_active"
        return sum(self.value(name, operation=o) for o in ("encode", "decode"))

    async def until_idle(self, within_s: float = 5.0) -> None:
        """Returns when no stream is open."""
        async with asyncio.timeout(within_s):
            while self.active() or self.service.pool.open_streams:
                await asyncio.sleep(0.01)

    async def encode(
        self, form: common_pb2.AudioFormat, chunks: Iterable[bytes], mend: bool = False
    ) -> tokenizer_pb2.EncodeResponse:
        async def requests() -> AsyncIterator[tokenizer_pb2.EncodeRequest]:
            config = tokenizer_pb2.EncodeConfig(format=form, mend=mend)
            yield tokenizer_pb2.EncodeRequest(config=config)
            for chunk in chunks:
                yield tokenizer_pb2.EncodeRequest(audio=chunk)

        return await self.stub.Encode(requests())

    async def encode_live(
        self, form: common_pb2.AudioFormat, chunks: Iterable[bytes]
    ) -> tuple[NDArray[np.uint16], tokenizer_pb2.StreamingEncodeCompleted]:
        async def requests() -> AsyncIterator[tokenizer_pb2.StreamingEncodeRequest]:
            config = tokenizer_pb2.EncodeConfig(format=form)
            yield tokenizer_pb2.StreamingEncodeRequest(config=config)
            for chunk in chunks:
                yield tokenizer_pb2.StreamingEncodeRequest(audio=chunk)

        parts = [np.zeros((0, BOOKS), np.uint16)]
        completed = None
        async for answer in self.stub.StreamingEncode(requests()):
            assert completed is None, "nothing comes after the terminal"
            if answer.HasField("completed"):
                completed = answer.completed
            else:
                assert answer.frames.first_frame == sum(map(len, parts))
                parts.append(unpacked(answer.frames))
        assert completed is not None
        return np.concatenate(parts), completed

    async def decode(
        self,
        codes: NDArray[np.uint16],
        form: common_pb2.AudioFormat = F32,
        num_samples: int = 0,
        each: Callable[[tokenizer_pb2.DecodeResponse], None] = lambda _: None,
    ) -> bytes:
        request = tokenizer_pb2.DecodeRequest(
            frames=frames.pack(codes), format=form, num_samples=num_samples
        )
        parts = []
        async for answer in self.stub.Decode(request):
            each(answer)
            parts.append(answer.audio)
        return b"".join(parts)

    async def decode_live(
        self,
        blocks: Iterable[NDArray[np.uint16]],
        form: common_pb2.AudioFormat = F32,
        pause_s: float = 0.0,
    ) -> bytes:
        async def requests() -> AsyncIterator[tokenizer_pb2.StreamingDecodeRequest]:
            config = tokenizer_pb2.StreamingDecodeConfig(format=form)
            yield tokenizer_pb2.StreamingDecodeRequest(config=config)
            for block in blocks:
                await asyncio.sleep(pause_s)
                yield tokenizer_pb2.StreamingDecodeRequest(frames=frames.pack(block))

        parts = []
        async for answer in self.stub.StreamingDecode(requests()):
            parts.append(answer.audio)
        return b"".join(parts)
