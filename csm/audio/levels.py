"""How loud a recording is, its highest sample, and how quiet it gets."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csm.audio.pcm import Samples

NO_LOUDNESS_LUFS = -70.0
"""Of silence, and of less than a block of 400 ms: the absolute gate of BS.1770."""
LOWEST_DBFS = -120.0
"""What is told of digital silence."""
_STEP_S, _BLOCK_STEPS = 0.1, 4
_RELATIVE_GATE_LU = 10.0
_WINDOW_S = 0.05
_QUIETEST = 0.05
"""Share of a recording's windows that counts as its quietest parts."""
_RESPONSE_S = 0.5
"""Of the filters to an impulse: it is over by then."""


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
    """The levels of mono float32 [N], full scale -1..1. About 50 ms of CPU for 30 s."""
    peak = float(np.abs(samples).max(initial=0.0))
    return Levels(loudness_lufs(samples, rate_hz), _db(peak), _db(_quietest_rms(samples, rate_hz)))


def loudness_lufs(samples: Samples, rate_hz: int) -> float:
    """Integrated loudness of mono float32 [N] in LUFS, gated as BS.1770-4 says."""
    step = round(_STEP_S * rate_hz)
    steps = _weighted(samples, rate_hz)[: len(samples) // step * step].reshape(-1, step)
    energies = np.einsum("ij,ij->i", steps, steps, dtype=np.float64)
    if len(energies) < _BLOCK_STEPS:
        return NO_LOUDNESS_LUFS
    powers = np.convolve(energies, np.ones(_BLOCK_STEPS), "valid") / (_BLOCK_STEPS * step)
    powers = powers[powers > _power(NO_LOUDNESS_LUFS)]
    if not len(powers):
        return NO_LOUDNESS_LUFS
    gate = powers.mean() * 10 ** (-_RELATIVE_GATE_LU / 10)
    return max(NO_LOUDNESS_LUFS, _lufs(float(powers[powers > gate].mean())))


def _weighted(samples: Samples, rate_hz: int) -> Samples:
    """K-weighted: by the filters' response in frequency, a part at a time, so that it takes little
    time and memory at any rate."""
    tail = round(_RESPONSE_S * rate_hz)
    size = 1 << (2 * tail - 1).bit_length()
    turns = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones(len(turns), np.complex128)
    for b, a in (_shelf(rate_hz), _highpass(rate_hz)):
        response *= np.polyval(b[::-1], turns) / np.polyval(a[::-1], turns)
    spectrum = np.fft.rfft(np.fft.irfft(response, size)[:tail], size)
    weighted = np.zeros(len(samples) + size, np.float32)
    for at in range(0, len(samples), size - tail):
        part = np.fft.rfft(samples[at : at + size - tail], size)
        weighted[at : at + size] += np.fft.irfft(part * spectrum, size)
    return weighted[: len(samples)]


# The two filters of BS.1770 as analog ones, of which its table for 48 kHz is the bilinear form.
def _shelf(rate_hz: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    k, q = math.tan(math.pi * 1681.974450955533 / rate_hz), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    b = [high + middle * k / q + k * k, 2 * (k * k - high), high - middle * k / q + k * k]
    return np.array(b), np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])


def _highpass(rate_hz: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    k, q = math.tan(math.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    whole = 1 + k / q + k * k
    a = np.array([1.0, 2 * (k * k - 1) / whole, (1 - k / q + k * k) / whole])
    return np.array([1.0, -2.0, 1.0]), a


def _lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


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
