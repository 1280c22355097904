"""Frames to PCM bytes, as they are made."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass

from csm.audio.frames import Codes
from csm.audio.pcm import PcmWriter, Samples
from csm.errors import invalid
from csm.serving.metrics import TokenizerMetrics
from csm.v1 import common_pb2
from services.tokenizer.codec import MimiConfig
from services.tokenizer.pool import CodecPool
from services.tokenizer.streaming import run_codec


@dataclass(frozen=True)
class PcmChunk:
    """Decoded audio."""

    audio: bytes
    first_sample: int
    """Index of its first sample, at the output rate."""
    num_frames: int
    """Frames decoded so far."""


@dataclass(frozen=True)
class DecodeLimits:
    """What a decoding may be."""

    max_frames: int
    """Of a whole recording."""
    max_chunk_bytes: int
    """Of PCM."""


class Decoder:
    """Decodes through a pool."""

    def __init__(
        self,
        pool: CodecPool,
        config: MimiConfig,
        limits: DecodeLimits,
        metrics: TokenizerMetrics,
    ) -> None:
        self._pool = pool
        self._config = config
        self._limits = limits
        self._metrics = metrics

    def writer(self, form: common_pb2.AudioFormat, field: str) -> PcmWriter:
        """A writer of the format asked for. Raises `AudioError` about `field`."""
        return PcmWriter(form, self._config.sampling_rate_hz, field)

    def check_length(self, num_frames: int, field: str) -> None:
        """Raises `InvalidArgument` about `field` where a whole recording is empty or too long."""
        if not num_frames:
            raise invalid(field, "0 is not allowed; allowed is at least 1")
        if num_frames > self._limits.max_frames:
            self._metrics.rejected.labels("too_long").inc()
            raise invalid(field, f"{num_frames} is too many; at most {self._limits.max_frames}")

    async def decode(
        self, blocks: AsyncIterator[Codes], writer: PcmWriter, num_samples: int | None = None
    ) -> AsyncGenerator[PcmChunk, None]:
        """Codes [n, num_codebooks] to PCM from the first frame on.

        `num_samples`, at the codec's rate, cuts the end. What waits for a reader that takes nothing
        is bounded: some frames of samples, and the bytes of one chunk.

        Raises:
            QueueFull: all streams are in use.
            DeadlineExceeded: nothing of the audio was read for too long.
        """
        frames = sent_bytes = 0
        left = num_samples
        chunk_bytes = self._limits.max_chunk_bytes
        chunk_bytes -= chunk_bytes % writer.sample_bytes
        try:
            decoding = run_codec(self._pool, "decode", blocks)
            async with contextlib.aclosing(decoding):
                async for block in decoding:
                    for part in _parts(block, self._frames_of(chunk_bytes, writer)):
                        frames += len(part)
                        samples = part.reshape(-1)[:left]
                        if left is not None:
                            left -= len(samples)
                        for chunk in _pieces(writer.feed(samples), chunk_bytes):
                            yield PcmChunk(chunk, sent_bytes // writer.sample_bytes, frames)
                            sent_bytes += len(chunk)
            for chunk in _pieces(writer.finish(), chunk_bytes):
                yield PcmChunk(chunk, sent_bytes // writer.sample_bytes, frames)
                sent_bytes += len(chunk)
        finally:
            self._metrics.payload_bytes.labels("decode").observe(sent_bytes)

    def _frames_of(self, chunk_bytes: int, writer: PcmWriter) -> int:
        """Frames that fill a chunk; at least one."""
        bytes_per_s = writer.format.sample_rate_hz * writer.sample_bytes
        return max(1, int(chunk_bytes * self._config.frame_rate_hz / bytes_per_s))


def _parts(block: Samples, frames: int) -> Iterator[Samples]:
    for at in range(0, len(block), frames):
        yield block[at : at + frames]


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    if len(data) <= size:
        if data:
            yield data
        return
    for at in range(0, len(data), size):
        yield data[at : at + size]
