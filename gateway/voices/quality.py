"""What a recording is like, measured on what the model hears of it.

That is its frames, decoded: after it was mended, at the codec's rate, with what the codec adds. So
a gateway reads no files of strangers, and reports alike of whatever kind a file was.
"""

import asyncio

import grpc
import numpy as np

from csm.audio.levels import NO_LOUDNESS_LUFS, levels_of
from csm.audio.pcm import Samples
from csm.status import TrueStatus
from csm.v1 import common_pb2, tokenizer_pb2
from gateway.backends.backends import Backends
from gateway.backends.failure import BackendFailure
from gateway.speaking.fate import Source
from gateway.voices.voice import RecordingQuality

LEAST_DISTANCE_DB = 15.0
"""Between speech and what is behind it, in a recording that makes a good prompt."""


async def quality_of(
    backends: Backends,
    frames: common_pb2.TokenFrames,
    num_samples: int,
    warnings: tuple[str, ...],
    timeout_s: float,
) -> RecordingQuality:
    """The quality of a recording that became `frames`; `num_samples` are its own, without what
    fills the last frame. `warnings` are what is known to be odd. Raises the tokenizer's
    `ServiceError`."""
    tokenizer = backends.info.tokenizer
    samples = await _decoded(backends, frames, num_samples, timeout_s)
    levels = await asyncio.to_thread(levels_of, samples, tokenizer.sample_rate_hz)
    distance_db = levels.loudness_lufs - levels.noise_dbfs
    if levels.loudness_lufs > NO_LOUDNESS_LUFS and distance_db < LEAST_DISTANCE_DB:
        noisy = (
            f"its quietest parts are only {distance_db:.0f} dB below its speech: noise, music, or "
            "speech without a pause"
        )
        warnings = (*warnings, noisy)
    audio_ms = round(len(samples) * 1000 / tokenizer.sample_rate_hz)
    return RecordingQuality(
        audio_ms, levels.loudness_lufs, levels.peak_dbfs, levels.noise_dbfs, warnings
    )


async def _decoded(
    backends: Backends, frames: common_pb2.TokenFrames, num_samples: int, timeout_s: float
) -> Samples:
    rate_hz = backends.info.tokenizer.sample_rate_hz
    request = tokenizer_pb2.DecodeRequest(
        frames=frames,
        format=common_pb2.AudioFormat(
            encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hz=rate_hz, channels=1
        ),
        num_samples=min(num_samples, frames.num_frames * backends.info.tokenizer.frame_samples),
    )
    call = backends.tokenizer.Decode(request, timeout=timeout_s)
    status = TrueStatus(call)
    parts = []
    try:
        async for response in call:
            parts.append(response.audio)
    except grpc.aio.AioRpcError as raised:
        failure = BackendFailure.of(Source.TOKENIZER, await status.of(raised))
        raise failure.error from raised
    return np.frombuffer(b"".join(parts), "<f4")
