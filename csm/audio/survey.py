"""What a recording is like, measured block by block while it is decoded."""

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 0.01
"""Levels are taken of windows of so many seconds."""
FULL_SCALE = 0.97
"""mu-law and 8 bits do not reach 1."""
# Samples of one plateau differ by rounding: 32767 and -32768.
_PLATEAU = 1e-4


class Survey:
    """Takes interleaved samples [n, C]; holds a number for each window and not the samples."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.num_samples = 0
        """Of each channel."""
        self.peak = 0.0
        """Largest magnitude of a sample."""
        self._window = max(1, round(rate_hz * WINDOW_S))
        self._sums = np.zeros(channels)
        self._products = np.zeros((channels, channels))
        self._levels: list[NDArray[np.float32]] = []
        self._carry = np.zeros((0, channels), np.float32)
        self._plateau, self._plateau_samples = 0.0, 0

    def feed(self, block: NDArray[np.float32]) -> None:
        """The next block, of finite samples."""
        wide = block.astype(np.float64)
        self.num_samples += len(block)
        self._sums += wide.sum(axis=0)
        self._products += wide.T @ wide
        self._take_levels(wide)
        self._take_peak(block)

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean of each channel [C]."""
        return self._sums / max(1, self.num_samples)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Mean products of the channels about their means [C, C]."""
        return self._products / max(1, self.num_samples) - np.outer(self.means, self.means)

    @property
    def clipped_s(self) -> float:
        """Seconds at full scale in runs of three samples and more, of any channel."""
        return self._plateau_samples / self.rate_hz

    def levels(self) -> NDArray[np.float64]:
        """RMS about its mean of each window's loudest channel [W]."""
        parts = list(self._levels)
        if len(self._carry):
            parts.append(np.sqrt(self._carry.astype(np.float64).var(axis=0).max(keepdims=True)))
        return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)

    def first_sample(self, window: int) -> int:
        """Where a window begins; one past the last of them ends with the recording."""
        return min(window * self._window, self.num_samples)

    def _take_levels(self, wide: NDArray[np.float64]) -> None:
        samples = np.concatenate([self._carry, wide]) if len(self._carry) else wide
        whole = len(samples) // self._window * self._window
        windows = samples[:whole].reshape(-1, self._window, samples.shape[1])
        if len(windows):
            loudest = windows.var(axis=1).max(axis=1)
            self._levels.append(np.sqrt(loudest).astype(np.float32))
        self._carry = samples[whole:].astype(np.float32)

    def _take_peak(self, block: NDArray[np.float32]) -> None:
        magnitudes = np.abs(block)
        peak = float(magnitudes.max(initial=0.0))
        self.peak = max(self.peak, peak)
        if peak > self._plateau * (1 + _PLATEAU):
            # What was cut off lower was not cut off by the end of the scale.
            self._plateau, self._plateau_samples = peak, 0
        if self._plateau < FULL_SCALE or peak < self._plateau * (1 - _PLATEAU):
            return
        flat = magnitudes >= self._plateau * (1 - _PLATEAU)
        middle = flat[:-2] & flat[1:-1] & flat[2:]
        run = np.zeros_like(flat)
        run[:-2] |= middle
        run[1:-1] |= middle
        run[2:] |= middle
        self._plateau_samples += int(run.any(axis=1).sum())
