"""Frames to PCM bytes, as they are made."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from csm.audio.pcm import PcmWriter
from csm.audio.frames import Codes
from csm.serving.metrics import TokenizerMetrics
from csm.v1 import common_pb2
from services.tokenizer.codec import MimiConfig
from services.tokenizer.pool import CodecPool
from services.tokenizer.streaming import passage


@dataclass(frozen=True)
class PcmChunk:
    """Decoded audio."""

    audio: bytes
    first_sample: int
    """Index of its first sample, at the output rate."""
    num_frames: int
    """Frames decoded so far."""


class Decoder:
    """Decodes through a pool. A chunk has at most `max_chunk_bytes`."""

    def __init__(
        self,
        pool: CodecPool,
        config: MimiConfig,
        max_chunk_bytes: int,
        metrics: TokenizerMetrics,
    ) -> None:
        self._pool = pool
        self._config = config
        self._max_chunk_bytes = max_chunk_bytes
        self._metrics = metrics

    def writer(self, form: common_pb2.AudioFormat, field: str) -> PcmWriter:
        """A writer of the format asked for. Raises `AudioError` about `field`."""
        return PcmWriter(form, self._config.sampling_rate_hz, field)

    async def decode(
        self, blocks: AsyncIterator[Codes], writer: PcmWriter, num_samples: int | None = None
    ) -> AsyncGenerator[PcmChunk, None]:
        """Codes [n, num_codebooks] to PCM from the first frame on.

        `num_samples`, at the codec's rate, cuts the end. One of the codec's streams is taken with
        the first block: a turn that waits for the generator, its call open, takes none from others.

        Raises:
            QueueFull: all streams are in use.
        """
        frames = sent_bytes = 0
        left = num_samples
        piece = self._max_chunk_bytes - self._max_chunk_bytes % writer.sample_bytes
        try:
            first = await anext(blocks, None)
            if first is None:
                return
            passing = passage(self._pool, "decode", _from(first, blocks))
            async with contextlib.aclosing(passing):
                async for block in passing:
                    frames += len(block)
                    samples = block.reshape(-1)[:left]
                    if left is not None:
                        left -= len(samples)
                    pcm = writer.feed(samples)
                    for chunk in _pieces(pcm, piece):
                        yield PcmChunk(chunk, sent_bytes // writer.sample_bytes, frames)
                        sent_bytes += len(chunk)
            for chunk in _pieces(writer.finish(), piece):
                yield PcmChunk(chunk, sent_bytes // writer.sample_bytes, frames)
                sent_bytes += len(chunk)
        finally:
            self._metrics.payload_bytes.labels("decode").observe(sent_bytes)


async def _from(first: Codes, rest: AsyncIterator[Codes]) -> AsyncIterator[Codes]:
    yield first
    async for block in rest:
        yield block


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
