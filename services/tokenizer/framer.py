"""Samples to whole frames."""

import numpy as np

from csm.audio.pcm import Samples


class Framer:
    """Cuts a stream of samples into frames; the last one is completed with silence."""

    def __init__(self, frame_samples: int) -> None:
        self._frame_samples = frame_samples
        self._carry = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> Samples:
        """Samples [N], any N, to the frames that are complete: [n, frame_samples]."""
        joined = np.concatenate([self._carry, samples]) if len(self._carry) else samples
        whole = len(joined) - len(joined) % self._frame_samples
        self._carry = joined[whole:].copy()
        return joined[:whole].reshape(-1, self._frame_samples)

    def finish(self) -> Samples:
        """The last partial frame, padded: [1, frame_samples], or [0, ...] where there is none."""
        missing = -len(self._carry) % self._frame_samples
        padded = np.concatenate([self._carry, np.zeros(missing, np.float32)])
        self._carry = np.zeros(0, np.float32)
        return padded.reshape(-1, self._frame_samples)
