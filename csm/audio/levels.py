"""How loud a recording is, its highest sample, and how quiet it gets."""

import math
from dataclasses import dataclass

import numpy as np

from csm.audio.loudness import SILENCE_LUFS, loudness_lufs
from csm.audio.pcm import Samples

NO_LOUDNESS_LUFS = SILENCE_LUFS
"""Of silence, and of less than a block of 400 ms: the absolute gate of BS.1770."""
LOWEST_DBFS = -120.0
"""What is told of digital silence."""
_WINDOW_S = 0.05
_QUIETEST = 0.05
"""Share of a recording's windows that counts as its quietest parts."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Levels of a mono recording."""

    loudness_lufs: float
    """Integrated loudness by ITU-R BS.1770; `NO_LOUDNESS_LUFS` where there is none."""
    peak_dbfs: float
    """Highest sample, dB of full scale; `LOWEST_DBFS` at the least."""
    noise_dbfs: float
    """RMS of its quietest parts, dB of full scale; `LOWEST_DBFS` at the least."""


def levels_of(samples: Samples, rate_hz: int) -> Levels:
    """The levels of mono float32 [N], full scale -1..1."""
    peak = float(np.abs(samples).max(initial=0.0))
    return Levels(loudness_lufs(samples, rate_hz), _db(peak), _db(_quietest_rms(samples, rate_hz)))


def _quietest_rms(samples: Samples, rate_hz: int) -> float:
    window = min(max(1, round(_WINDOW_S * rate_hz)), max(1, len(samples)))
    whole = len(samples) // window * window
    if not whole:
        return 0.0
    windows = samples[:whole].reshape(-1, window)
    powers = np.einsum("ij,ij->i", windows, windows, dtype=np.float64) / window
    return math.sqrt(float(np.quantile(powers, _QUIETEST)))


def _db(magnitude: float) -> float:
    return max(LOWEST_DBFS, 20 * math.log10(magnitude)) if magnitude > 0 else LOWEST_DBFS
