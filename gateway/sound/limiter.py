"""Keeps samples within full scale: the gain goes down in time for a peak, and comes back behind."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

CEILING = 0.89
"""-1 dB of full scale: what is resampled later may swing over its samples."""
AHEAD_MS = 5.0
"""How long before a peak the gain begins to go down, and after the hold to come back."""
HOLD_MS = 30.0


class Limiter:
    """Samples in, as many out, `AHEAD_MS` late. Any chunking gives the same output."""

    def __init__(self, rate_hz: int) -> None:
        self._ahead = max(1, round(rate_hz * AHEAD_MS / 1000))
        self._hold = max(1, round(rate_hz * HOLD_MS / 1000))
        self._waiting: Samples
        self._loud: Samples
        self._begin()

    def feed(self, samples: Samples) -> Samples:
        """Samples [N] in, up to N out."""
        if not len(samples):
            return samples
        ahead = self._ahead
        peaks = np.abs(samples)
        loud = np.concatenate([self._loud, np.maximum(peaks, CEILING)])
        waiting = np.concatenate([self._waiting, samples])
        count = max(0, len(waiting) - ahead)
        self._waiting = waiting[count:]
        made = waiting[:count]
        # The gain at t is the mean over [t - ahead, t] of the least gain over
        # [t - hold, t + ahead]: at a peak all of these are what the peak needs.
        span = self._hold + ahead
        if count and float(loud.max()) > CEILING:
            # Position 0 of `loud` is `span` samples before that of `waiting`.
            lowest = CEILING / _sliding_max(loud, span + 1)
            sums = np.cumsum(np.concatenate([[0.0], lowest]))
            mean = (sums[ahead + 1 :] - sums[: -ahead - 1]) / (ahead + 1)
            made = made * mean[:count].astype(np.float32)
        self._loud = loud[count:]
        return made

    def flush(self) -> Samples:
        """The rest; what follows begins anew."""
        rest = self.feed(np.zeros(self._ahead, np.float32))
        self._begin()
        return rest

    def _begin(self) -> None:
        self._waiting = np.zeros(0, np.float32)
        # As far back as the gain of the next sample depends on.
        self._loud = np.full(self._ahead + self._hold, CEILING, np.float32)


def _sliding_max(values: Samples, width: int) -> Samples:
    """The highest of each `width` neighbours [N - width + 1], in a time that does not depend on it:
    each window is the end of one block and the beginning of the next."""
    count = len(values) - width + 1
    padded = np.concatenate([values, np.zeros(-len(values) % width, values.dtype)])
    blocks = padded.reshape(-1, width)
    from_left = np.maximum.accumulate(blocks, axis=1).reshape(-1)
    from_right = np.maximum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].reshape(-1)
    return np.maximum(from_right[:count], from_left[width - 1 : width - 1 + count])
