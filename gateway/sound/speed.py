"""Another pace with the same pitch: WSOLA (waveform similarity overlap-add), streaming.

The output is made of stretches of the input, each laid over the end of the one before. A stretch
begins near where the pace wants it, there where the input is most like what would have followed:
periods of the voice meet in phase, so neither pitch nor timbre change.
"""

import math

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

MIN_SPEED = 0.5
MAX_SPEED = 2.0
OVERLAP_MS = 12.0
"""A stretch gives so much, laid over as much of the one before."""
SEARCH_MS = 8.0
"""A stretch begins at most so much before or behind its place: together one period of 62 Hz."""
SEARCH_RATE_HZ = 12_000
"""The places are compared at about this rate first; pitch and timbre lie far below it."""


class SpeedChange:
    """The samples of a stream at another pace. Any chunking gives the same output."""

    def __init__(self, speed: float, rate_hz: int) -> None:
        """`speed` 0.5..2; 1 is the pace of the input."""
        self.speed = speed
        self._overlap = max(8, round(rate_hz * OVERLAP_MS / 1000))
        self._search = max(4, round(rate_hz * SEARCH_MS / 1000))
        self._stride = max(1, rate_hz // SEARCH_RATE_HZ)
        angle = np.pi * (np.arange(self._overlap) + 0.5) / self._overlap
        self._rising = (0.5 - 0.5 * np.cos(angle)).astype(np.float32)
        self._input: Samples
        self._num_in: int
        self._begin()

    def feed(self, samples: Samples) -> Samples:
        """Samples [N] in, samples [M] out; M may be 0."""
        if len(samples):
            self._input = np.concatenate([self._input, samples])
            self._num_in += len(samples)
        made = []
        while self._needs() <= self._num_in:
            made.append(self._next())
        self._forget()
        return self._joined(made)

    def flush(self) -> Samples:
        """The rest, up to `round(samples / speed)` in all; what follows begins anew."""
        whole = round(self._num_in / self.speed)
        made = []
        while self._num_out < whole:
            missing = self._needs() - self._first - len(self._input)
            if missing > 0:
                # Mirrored, so that nothing jumps where the last stretch reaches beyond the end.
                self._input = np.pad(self._input, (0, missing), "symmetric")
            made.append(self._next())
        rest = self._joined(made)
        rest = rest[: len(rest) - max(0, self._num_out - whole)]
        self._begin()
        return rest

    # --- inside ---

    def _begin(self) -> None:
        self._input = np.zeros(0, np.float32)
        self._first = 0
        """Position of the first sample that is kept."""
        self._num_in = self._num_out = 0
        self._follows = 0
        """Position of what would follow the last stretch."""

    def _place(self) -> int:
        return round(self._num_out * self.speed)

    def _needs(self) -> int:
        """Samples of the input that the next stretch depends on."""
        reach = 0 if self._num_out == 0 else self._search
        depends = max(self._follows, self._place() + reach) + self._overlap
        # And no more comes out than that much input makes, were it all.
        return max(depends, math.ceil((self._num_out + self._overlap) * self.speed))

    def _next(self) -> Samples:
        follows = self._cut(self._follows, self._overlap)
        if self._num_out == 0:
            begins, made = 0, follows
        else:
            begins = self._most_like(follows)
            laid = self._cut(begins, self._overlap)
            made = follows + self._rising * (laid - follows)
        self._follows = begins + self._overlap
        self._num_out += self._overlap
        return made

    def _most_like(self, follows: Samples) -> int:
        """Position within reach of the place whose sound is most like `follows`."""
        lowest = max(self._first, self._place() - self._search)
        near = self._cut(lowest, self._place() + self._search - lowest + self._overlap)
        stride = self._stride
        at = self._best(near[::stride], follows[::stride]) * stride
        if stride > 1:
            low = max(0, at - stride + 1)
            high = min(len(near), at + stride + self._overlap)
            at = low + self._best(near[low:high], follows)
        return lowest + at

    @staticmethod
    def _best(near: Samples, follows: Samples) -> int:
        products = np.correlate(near, follows, "valid")
        squares = np.cumsum(near * near, dtype=np.float64)
        energies = squares[len(follows) - 1 :].copy()
        energies[1:] -= squares[: -len(follows)]
        return int(np.argmax(products / np.sqrt(np.maximum(energies, 1e-9))))

    def _cut(self, begin: int, num_samples: int) -> Samples:
        # A copy: how memory is aligned must not decide how a product is rounded.
        return self._input[begin - self._first : begin - self._first + num_samples].copy()

    def _forget(self) -> None:
        needed = min(self._follows, max(0, self._place() - self._search))
        if needed - self._first > 4 * self._overlap:
            self._input = self._input[needed - self._first :]
            self._first = needed

    @staticmethod
    def _joined(made: list[Samples]) -> Samples:
        return np.concatenate(made) if made else np.zeros(0, np.float32)
