"""A tokenizer without a codec: `csm.v1.TokenizerService` on the real wire, for load.

Every frame sounds the same: a tone whose periods fit into it, so that none is heard where two
frames meet. As the real one does, it answers the first frame alone and then what has come.
"""

import functools
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np

from benchmarks.fleet.engine import FRAME_MS
from benchmarks.fleet.generator import CODEBOOK_SIZE, CODES, NUM_CODEBOOKS
from csm.audio.pcm import pcm_bytes
from csm.v1 import common_pb2, tokenizer_pb2, tokenizer_pb2_grpc

RATE_HZ = 24_000
TONE_HZ = 500
S16LE = common_pb2.AUDIO_ENCODING_PCM_S16LE
BYTES_PER_S16_SAMPLE = 2


@functools.cache
def frame_pcm(encoding: int, sample_rate_hz: int, channels: int) -> bytes:
    """A frame's sound in a format; 0 is the format's default."""
    num_samples = (sample_rate_hz or RATE_HZ) * FRAME_MS // 1000
    tone = np.sin(2 * np.pi * TONE_HZ * FRAME_MS / 1000 * np.arange(num_samples) / num_samples)
    samples = np.repeat(0.3 * tone.astype(np.float32), channels or 1)
    return pcm_bytes(samples, encoding or S16LE)  # type: ignore[arg-type]


class SimulatedTokenizer(tokenizer_pb2_grpc.TokenizerServiceServicer):
    """Answers as fast as it is asked."""

    def __init__(self) -> None:
        self.frames = 0

    def register(self, server: grpc.aio.Server) -> None:
        """Adds TokenizerService."""
        tokenizer_pb2_grpc.add_TokenizerServiceServicer_to_server(self, server)

    async def GetTokenizerInfo(self, request: Any, context: Any) -> Any:
        return tokenizer_pb2.GetTokenizerInfoResponse(
            model="simulated",
            sample_rate_hz=RATE_HZ,
            frame_rate_hz=1000 / FRAME_MS,
            frame_samples=RATE_HZ * FRAME_MS // 1000,
            num_codebooks=NUM_CODEBOOKS,
            codebook_size=CODEBOOK_SIZE,
            max_streams=10_000,
            max_audio_ms=600_000,
            digest="51",
            dtype="none",
            device="none",
        )

    async def StreamingDecode(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        pcm, done = frame_pcm(0, 0, 0), 0
        samples_a_frame = RATE_HZ * FRAME_MS // 1000
        async for request in request_iterator:
            if request.WhichOneof("request") == "config":
                form = request.config.format
                pcm = frame_pcm(form.encoding, form.sample_rate_hz, form.channels)
                samples_a_frame = (form.sample_rate_hz or RATE_HZ) * FRAME_MS // 1000
                continue
            left = request.frames.num_frames
            while left:
                count = left if done else 1
                self.frames += count
                yield tokenizer_pb2.StreamingDecodeResponse(
                    audio=pcm * count,
                    first_sample=done * samples_a_frame,
                    num_frames=done + count,
                )
                done, left = done + count, left - count

    async def StreamingEncode(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        width, pending, made, num_bytes = BYTES_PER_S16_SAMPLE, 0, 0, 0
        frame_bytes = RATE_HZ * FRAME_MS // 1000 * width
        async for request in request_iterator:
            if request.WhichOneof("request") == "config":
                form = request.config.format
                pcm = frame_pcm(form.encoding, form.sample_rate_hz, form.channels)
                frame_bytes = len(pcm)
                continue
            num_bytes += len(request.audio)
            pending += len(request.audio)
            if count := pending // frame_bytes:
                pending -= count * frame_bytes
                yield _encoded(made, count)
                made += count
        if pending:
            yield _encoded(made, 1)
            made += 1
        num_samples = num_bytes * RATE_HZ * FRAME_MS // 1000 // frame_bytes
        completed = tokenizer_pb2.StreamingEncodeCompleted(num_frames=made, num_samples=num_samples)
        yield tokenizer_pb2.StreamingEncodeResponse(completed=completed)


def _encoded(first_frame: int, count: int) -> tokenizer_pb2.StreamingEncodeResponse:
    return tokenizer_pb2.StreamingEncodeResponse(
        frames=common_pb2.TokenFrames(
            codes=CODES * count,
            num_frames=count,
            num_codebooks=NUM_CODEBOOKS,
            first_frame=first_frame,
        )
    )
