"""Clips as the judges take them: 16 kHz, all with one peak."""

from __future__ import annotations

import numpy as np

from csm.audio.resample import resample

RATE_HZ = 16_000
PEAK = 0.7


def levelled(audio: np.ndarray, rate_hz: int) -> np.ndarray:
    """Return mono float [samples] as float32 at 16 kHz whose peak is 0.7; silence stays silent.

    DNSMOS follows the level, and Whisper's words may: neither is to be judged here.

    Raises:
        ValueError: the audio is not one-dimensional, or holds nothing.
    """
    if audio.ndim != 1 or not len(audio):
        raise ValueError(
            f"audio: shape {list(audio.shape)} is not allowed, must be [samples], at least 1"
        )
    sound = resample(audio.astype(np.float32), rate_hz, RATE_HZ)
    peak = float(np.abs(sound).max(initial=0.0))
    return sound if peak < 1e-6 else (sound * (PEAK / peak)).astype(np.float32)
