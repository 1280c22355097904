"""Where a clip is silent: before, within and after the speech."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Below the loud windows (95th percentile) by so much is silence: a teacher's pauses are digital
# silence or far below, and the weakest fricatives are about 30 dB down.
_DEPTH_DB = 40.0
_WINDOW_MS = 10


@dataclass(frozen=True)
class Silence:
    """Milliseconds of silence: at the start, the longest between two sounds, and at the end."""

    before_ms: int
    within_ms: int
    after_ms: int


def measure(audio: np.ndarray, rate_hz: int) -> Silence:
    """Measure mono float [samples]; a clip without any sound is silent `before` only."""
    window = rate_hz * _WINDOW_MS // 1000
    count = len(audio) // window
    if not count or not np.any(audio):
        return Silence(count * _WINDOW_MS, 0, 0)
    rows = audio[: count * window].reshape(count, window).astype(np.float64)
    level_db = 10 * np.log10((rows**2).mean(axis=1) + 1e-10)
    sounding = np.flatnonzero(level_db > np.percentile(level_db, 95) - _DEPTH_DB)
    if not len(sounding):
        return Silence(count * _WINDOW_MS, 0, 0)
    gaps = np.diff(sounding) - 1
    return Silence(
        before_ms=int(sounding[0]) * _WINDOW_MS,
        within_ms=int(gaps.max(initial=0)) * _WINDOW_MS,
        after_ms=int(count - 1 - sounding[-1]) * _WINDOW_MS,
    )
