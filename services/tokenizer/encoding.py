"""Audio bytes to frames: whole recordings, and live."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from prometheus_client import Histogram

from csm.audio.files import PcmReader, Samples, read_audio
from csm.audio.frames import Codes
from csm.errors import invalid
from csm.serving.metrics import TokenizerMetrics
from csm.v1 import common_pb2
from services.tokenizer.codec import MimiConfig
from services.tokenizer.framer import Framer
from services.tokenizer.pool import CodecPool
from services.tokenizer.streaming import passage

T = TypeVar("T")

_FORMAT, _AUDIO = "config.format", "audio"
# Converting less than this is over before a thread would have begun it.
_INLINE_BYTES = 64 << 10


@dataclass(frozen=True)
class EncodeLimits:
    """What a whole recording may be."""

    max_audio_s: float
    max_file_bytes: int


@dataclass(frozen=True)
class Encoded:
    """The end of an encoding."""

    num_samples: int
    """True length at the codec's rate."""
    num_frames: int


class Encoder:
    """Encodes through a pool. `converters` runs what would hold up the event loop."""

    def __init__(
        self,
        pool: CodecPool,
        config: MimiConfig,
        limits: EncodeLimits,
        converters: ThreadPoolExecutor,
        metrics: TokenizerMetrics,
    ) -> None:
        self._pool = pool
        self._config = config
        self._limits = limits
        self._converters = converters
        self._metrics = metrics

    async def recording(
        self, form: common_pb2.AudioFormat, chunks: AsyncIterator[bytes]
    ) -> tuple[Codes, Encoded]:
        """A whole recording as codes [F, num_codebooks].

        Raises:
            InvalidArgument: about `config.format` or `audio`.
            QueueFull: all streams are in use.
        """
        with _Payload(self._metrics.payload_bytes.labels("encode")) as payload:
            call = _Call(self._config)
            if form.encoding == common_pb2.AUDIO_ENCODING_FILE:
                samples = self._file(payload.counted(chunks))
            else:
                reader = PcmReader(form, self._config.sampling_rate_hz, _FORMAT, _AUDIO)
                samples = self._bounded(self._pcm(reader, payload.counted(chunks)))
            parts: list[Codes] = []
            blocks = passage(self._pool, "encode", call.frames(samples))
            async with contextlib.aclosing(blocks):
                async for block in blocks:
                    parts.append(block)
        if not parts:
            raise invalid(_AUDIO, "has zero samples; allowed is at least 1")
        return np.concatenate(parts), call.encoded

    async def live(
        self, form: common_pb2.AudioFormat, chunks: AsyncIterator[bytes]
    ) -> AsyncGenerator[Codes | Encoded, None]:
        """PCM to codes [n, num_codebooks] as they are made; last, exactly one `Encoded`.

        Raises:
            InvalidArgument: about `config.format` or `audio`.
            QueueFull: all streams are in use.
        """
        with _Payload(self._metrics.payload_bytes.labels("encode")) as payload:
            call = _Call(self._config)
            reader = PcmReader(form, self._config.sampling_rate_hz, _FORMAT, _AUDIO)
            samples = self._pcm(reader, payload.counted(chunks))
            blocks = passage(self._pool, "encode", call.frames(samples))
            async with contextlib.aclosing(blocks):
                async for block in blocks:
                    yield block
            yield call.encoded

    async def _pcm(
        self, reader: PcmReader, chunks: AsyncIterator[bytes]
    ) -> AsyncGenerator[Samples, None]:
        async for chunk in chunks:
            yield await self._convert(len(chunk), functools.partial(reader.feed, chunk))
        yield reader.finish()

    async def _bounded(self, parts: AsyncIterator[Samples]) -> AsyncGenerator[Samples, None]:
        limit = int(self._limits.max_audio_s * self._config.sampling_rate_hz)
        total = 0
        async for samples in parts:
            total += len(samples)
            if total > limit:
                self._metrics.rejected.labels("too_long").inc()
                raise invalid(
                    _AUDIO,
                    f"is longer than {self._limits.max_audio_s:g} s, the most that is allowed",
                )
            yield samples

    async def _file(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[Samples, None]:
        # Runs inside the call's stream: no more files are held than there are streams.
        data = bytearray()
        async for chunk in chunks:
            if len(data) + len(chunk) > self._limits.max_file_bytes:
                self._metrics.rejected.labels("too_long").inc()
                raise invalid(
                    _AUDIO,
                    f"is a file of more than {self._limits.max_file_bytes} bytes, "
                    "the most that is allowed",
                )
            data += chunk
        yield await self._convert(
            max(len(data), _INLINE_BYTES), functools.partial(self._read, bytes(data))
        )

    def _read(self, data: bytes) -> Samples:
        samples, _ = read_audio(
            data,
            name=_AUDIO,
            max_seconds=self._limits.max_audio_s,
            rate_hz=self._config.sampling_rate_hz,
        )
        return samples

    async def _convert(self, size_bytes: int, convert: Callable[[], T]) -> T:
        if size_bytes < _INLINE_BYTES:
            return convert()
        return await asyncio.get_running_loop().run_in_executor(self._converters, convert)


class _Call:
    """Samples of one call to frames, and what they came to."""

    def __init__(self, config: MimiConfig) -> None:
        self._framer = Framer(config.frame_samples)
        self._num_samples = 0
        self._num_frames = 0

    @property
    def encoded(self) -> Encoded:
        """What went through; complete when `frames` is exhausted."""
        return Encoded(self._num_samples, self._num_frames)

    async def frames(self, parts: AsyncIterator[Samples]) -> AsyncGenerator[Samples, None]:
        """Samples [N] as frames [n, frame_samples]; the last one padded with silence."""
        async for samples in parts:
            self._num_samples += len(samples)
            yield self._count(self._framer.feed(samples))
        yield self._count(self._framer.finish())

    def _count(self, frames: Samples) -> Samples:
        self._num_frames += len(frames)
        return frames


class _Payload:
    """Counts the bytes of a call and observes them when it ends, however it ends."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._num_bytes = 0

    async def counted(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for chunk in chunks:
            self._num_bytes += len(chunk)
            yield chunk

    def __enter__(self) -> _Payload:
        return self

    def __exit__(self, *_: object) -> None:
        self._histogram.observe(self._num_bytes)
