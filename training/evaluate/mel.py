"""Mel spectra and cepstra, in numpy: what the distance, the classifier and the charts look at."""

from __future__ import annotations

from functools import cache

import numpy as np

_FLOOR = 1e-5


@cache
def _filters(bands: int, window: int, rate_hz: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Return triangles of equal width in mel (HTK's), float64 [bands, window // 2 + 1]."""
    ends = 2595 * np.log10(1 + np.array([low_hz, high_hz]) / 700)
    corners = 700 * (10 ** (np.linspace(ends[0], ends[1], bands + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(window, 1 / rate_hz)
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


@cache
def _cosines(count: int, bands: int) -> np.ndarray:
    """Return the orthonormal DCT-II, float64 [count, bands]."""
    angles = np.pi / bands * (np.arange(bands) + 0.5) * np.arange(count)[:, None]
    table = np.sqrt(2 / bands) * np.cos(angles)
    table[0] /= np.sqrt(2)
    return table


def log_mel(
    audio: np.ndarray,
    rate_hz: int,
    *,
    bands: int = 80,
    window: int = 1024,
    hop: int = 256,
    low_hz: float = 0.0,
    high_hz: float | None = None,
) -> np.ndarray:
    """Return natural logarithms of mel magnitudes, float64 [windows, bands], at least 1e-5.

    Args:
        audio: mono [samples] in [-1, 1]; what is shorter than a window is completed by silence.
        rate_hz: of the audio.
        bands, window, hop: sizes, the latter two in samples.
        low_hz, high_hz: the outer corners of the triangles; None: half the rate.

    Raises:
        ValueError: `audio` is not one-dimensional or empty.
    """
    if audio.ndim != 1 or not len(audio):
        raise ValueError(f"audio: shape {list(audio.shape)} is not allowed, must be [samples >= 1]")
    audio = np.pad(audio.astype(np.float64), (0, max(0, window - len(audio))))
    frames = np.lib.stride_tricks.sliding_window_view(audio, window)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) / (window / 4)
    filters = _filters(bands, window, rate_hz, low_hz, high_hz or rate_hz / 2)
    return np.log(np.maximum(spectrum @ filters.T, _FLOOR))


def cepstra(audio: np.ndarray, rate_hz: int, count: int = 20) -> np.ndarray:
    """Return cepstra 1 to `count` of the windows with speech, float64 [windows, count].

    10 ms apart, from 100 to 7,000 Hz: no teacher has less band than that, and how much above it is
    heard says which program spoke, not who. Windows 35 dB below the loud ones are left out, and
    so is cepstrum 0, the level.
    """
    hop = rate_hz // 100
    bands = log_mel(
        audio, rate_hz, bands=40, window=hop * 5 // 2, hop=hop, low_hz=100, high_hz=7000
    )
    level_db = 10 * np.log10(np.exp(2 * bands).sum(axis=1))
    speech = bands[level_db > np.percentile(level_db, 95) - 35]
    return speech @ _cosines(count + 1, 40)[1:].T
