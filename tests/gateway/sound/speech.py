"""Speech to work on, and what is measured of it."""

from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

SAMPLES = Path(__file__).resolve().parents[3] / "docs" / "samples"


@cache
def speech(name: str = "hello.flac") -> tuple[NDArray[np.float32], int]:
    """Mono samples of pico's speech, and their rate in Hz."""
    samples, rate_hz = soundfile.read(SAMPLES / name, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples[:, 0]), rate_hz


def pitch_track(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """F0 in Hz every 10 ms, by autocorrelation; NaN where it is not voiced."""
    width = rate_hz // 25
    starts = range(0, len(samples) - width, rate_hz // 100)
    track = np.full(len(starts), np.nan)
    for place, begin in enumerate(starts):
        part = samples[begin : begin + width] - samples[begin : begin + width].mean()
        if np.sqrt(np.mean(part**2)) < 0.02:
            continue
        spectrum = np.abs(np.fft.rfft(part * np.hanning(width), 4 * width)) ** 2
        likeness = np.fft.irfft(spectrum)
        shortest, longest = rate_hz // 400, rate_hz // 60
        period = shortest + int(np.argmax(likeness[shortest:longest]))
        if likeness[period] > 0.5 * likeness[0]:
            track[place] = rate_hz / period
    return track


def pitches(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """F0 in Hz of each 10 ms that is voiced."""
    track = pitch_track(samples, rate_hz)
    return track[~np.isnan(track)]


def tone(seconds: float, rate_hz: int = 24_000, level: float = 0.3) -> NDArray[np.float32]:
    """A sine of 200 Hz."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * 200 * at)).astype(np.float32)


def silence(seconds: float, rate_hz: int = 24_000) -> NDArray[np.float32]:
    """With the noise of a quiet room, -70 dB."""
    noise = np.random.default_rng(1).standard_normal(round(seconds * rate_hz))
    return (3e-4 * noise).astype(np.float32)


def highest_jump(samples: NDArray[np.float32]) -> float:
    """The largest step from a sample to the next."""
    return float(np.abs(np.diff(samples)).max())


def click(samples: NDArray[np.float32], rate_hz: int) -> float:
    """The most energy above 6 kHz in 2 ms: what a click has and speech has little of."""
    spectrum = np.fft.rfft(samples)
    spectrum[: len(samples) * 6000 // rate_hz] = 0
    high = np.fft.irfft(spectrum, len(samples))
    width = rate_hz // 500
    return float(np.convolve(high**2, np.ones(width), "valid").max())
