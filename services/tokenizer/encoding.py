"""Audio bytes to frames: whole recordings, and live."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np
from prometheus_client import Histogram

from csm.audio.files import Recording
from csm.audio.frames import Codes
from csm.audio.pcm import AudioTooLong, PcmReader, Samples
from csm.errors import QueueFull, invalid
from csm.serving.metrics import TokenizerMetrics
from csm.v1 import common_pb2
from services.tokenizer.codec import MimiConfig
from services.tokenizer.framer import Framer
from services.tokenizer.pool import CodecPool
from services.tokenizer.streaming import run_codec

_FORMAT, _AUDIO = "config.format", "audio"
_MEND = "config.mend"
_FILE = common_pb2.AUDIO_ENCODING_FILE
Item = TypeVar("Item")
# Converting less than this is over before a thread would have begun it.
_INLINE_BYTES = 64 << 10
# At most this much PCM is converted ahead of the codec: 8 s of 8 bits at 8 kHz.
_PIECE_BYTES = 64 << 10


@dataclass(frozen=True)
class EncodeLimits:
    """What a whole recording may be."""

    max_audio_s: float
    max_file_bytes: int
    max_files_bytes: int
    """Of all files that are held at once."""


@dataclass(frozen=True)
class EncodingSummary:
    """The end of an encoding."""

    num_samples: int
    """True length at the codec's rate."""
    num_frames: int
    warnings: tuple[str, ...] = ()
    """What was odd about a file, a sentence each."""


@dataclass(frozen=True)
class Threads:
    """What runs what would hold up the event loop: files apart, so that a hostile one does not
    keep live audio waiting."""

    pcm: ThreadPoolExecutor
    files: ThreadPoolExecutor


class Encoder:
    """Encodes through a pool."""

    def __init__(
        self,
        pool: CodecPool,
        config: MimiConfig,
        limits: EncodeLimits,
        threads: Threads,
        metrics: TokenizerMetrics,
    ) -> None:
        self._pool = pool
        self._config = config
        self._limits = limits
        self._threads = threads
        self._metrics = metrics
        self._files_bytes = 0

    async def recording(
        self,
        form: common_pb2.AudioFormat,
        chunks: AsyncIterator[bytes],
        max_samples: int = 0,
        mend: bool = False,
    ) -> tuple[Codes, EncodingSummary]:
        """A whole recording as codes [F, num_codebooks].

        More than `max_samples`, at the codec's rate, is refused; 0: the server's own limit alone.
        A file is read twice, block by block: first to see that it can be used and what it is like,
        so that one that cannot costs the codec nothing, then for the codec. `mend` is for files.

        Raises:
            InvalidArgument: about `config.format`, `config.mend` or `audio`.
            QueueFull: all streams are in use, or too many files are held already.
            DeadlineExceeded: nothing came for too long.
        """
        limit = int(self._limits.max_audio_s * self._config.sampling_rate_hz)
        limit = min(limit, max_samples or limit)
        with self._counted() as payload:
            call = _Call(self._config)
            if form.encoding == _FILE:
                samples = self._file(payload.counted(chunks), limit, mend, call)
            elif mend:
                raise invalid(_MEND, "is for files; allowed with AUDIO_ENCODING_FILE alone")
            else:
                rate_hz = self._config.sampling_rate_hz
                reader = PcmReader(form, rate_hz, _FORMAT, _AUDIO, also=[_FILE])
                samples = self._bounded(self._pcm(reader, payload.counted(chunks)), limit)
            parts: list[Codes] = []
            blocks = run_codec(self._pool, "encode", call.frames(samples))
            async with contextlib.aclosing(blocks):
                async for block in blocks:
                    parts.append(block)
        if not parts:
            raise invalid(_AUDIO, "has zero samples; allowed is at least 1")
        return np.concatenate(parts), call.encoded

    async def live(
        self, form: common_pb2.AudioFormat, chunks: AsyncIterator[bytes], max_samples: int = 0
    ) -> AsyncGenerator[Codes | EncodingSummary, None]:
        """PCM to codes [n, num_codebooks] as they are made; last, exactly one `EncodingSummary`.

        More than `max_samples`, at the codec's rate, is refused; 0: there is no limit.

        Raises:
            InvalidArgument: about `config.format` or `audio`.
            QueueFull: all streams are in use.
            DeadlineExceeded: nothing came, or nothing was read, for too long.
        """
        with self._counted() as payload:
            call = _Call(self._config)
            reader = PcmReader(form, self._config.sampling_rate_hz, _FORMAT, _AUDIO)
            samples = self._pcm(reader, payload.counted(chunks))
            if max_samples:
                samples = self._bounded(samples, max_samples)
            blocks = run_codec(self._pool, "encode", call.frames(samples))
            async with contextlib.aclosing(blocks):
                async for block in blocks:
                    yield block
            yield call.encoded

    @contextlib.contextmanager
    def _counted(self) -> Iterator[_Payload]:
        """Counts the bytes of a call, and the call if it is refused for its length."""
        try:
            with _Payload(self._metrics.payload_bytes.labels("encode")) as payload:
                yield payload
        except AudioTooLong:
            self._metrics.rejected.labels("too_long").inc()
            raise

    async def _pcm(
        self, reader: PcmReader, chunks: AsyncIterator[bytes]
    ) -> AsyncGenerator[Samples, None]:
        loop = asyncio.get_running_loop()
        async for chunk in chunks:
            for at in range(0, len(chunk), _PIECE_BYTES):
                piece = chunk[at : at + _PIECE_BYTES]
                if len(chunk) < _INLINE_BYTES:
                    yield reader.feed(piece)
                else:
                    yield await loop.run_in_executor(self._threads.pcm, reader.feed, piece)
        yield reader.finish()

    async def _bounded(
        self, parts: AsyncIterator[Samples], max_samples: int
    ) -> AsyncGenerator[Samples, None]:
        total = 0
        async for samples in parts:
            total += len(samples)
            if total > max_samples:
                seconds = max_samples / self._config.sampling_rate_hz
                raise AudioTooLong(
                    _AUDIO, f"is longer than {seconds:g} s, the most that is allowed"
                )
            yield samples

    async def _file(
        self, chunks: AsyncIterator[bytes], max_samples: int, mend: bool, call: _Call
    ) -> AsyncGenerator[Samples, None]:
        file = io.BytesIO()
        rate_hz = self._config.sampling_rate_hz
        held_bytes = 0
        try:
            async for chunk in chunks:
                self._hold(held_bytes, len(chunk))
                held_bytes += len(chunk)
                file.write(chunk)
            recording = Recording(file, _AUDIO, Fraction(max_samples, rate_hz), mend)
            async for _ in self._in_thread(recording.survey()):
                pass
            call.warnings = tuple(recording.warnings)
            async for samples in self._in_thread(recording.blocks(rate_hz)):
                yield samples
        finally:
            self._files_bytes -= held_bytes

    def _hold(self, held_bytes: int, more_bytes: int) -> None:
        """Counts more bytes of a file. Raises where it, or all of them, are too large."""
        limits = self._limits
        if held_bytes + more_bytes > limits.max_file_bytes:
            raise AudioTooLong(
                _AUDIO,
                f"is a file of more than {limits.max_file_bytes} bytes, the most that is allowed",
            )
        if self._files_bytes + more_bytes > limits.max_files_bytes:
            self._metrics.rejected.labels("files_full").inc()
            raise QueueFull(
                f"files of {self._files_bytes} bytes are held, as many as are allowed "
                f"(max_files_bytes {limits.max_files_bytes})"
            )
        self._files_bytes += more_bytes

    async def _in_thread(self, blocks: Iterator[Item]) -> AsyncGenerator[Item, None]:
        """The blocks, each read when it is asked for: files take turns, and none is held whole."""
        loop = asyncio.get_running_loop()
        while (
            block := await loop.run_in_executor(self._threads.files, next, blocks, None)
        ) is not None:
            yield block


class _Call:
    """Samples of one call to frames, and what they came to."""

    def __init__(self, config: MimiConfig) -> None:
        self._framer = Framer(config.frame_samples)
        self._num_samples = 0
        self._num_frames = 0
        self.warnings: tuple[str, ...] = ()

    @property
    def encoded(self) -> EncodingSummary:
        """What went through; complete when `frames` is exhausted."""
        return EncodingSummary(self._num_samples, self._num_frames, self.warnings)

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
