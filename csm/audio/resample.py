"""Mono samples at one rate to another: soxr's, streamed.

One shot is the same stream fed once, so any chunking gives the same samples.
"""

import numpy as np
import soxr

from csm.audio.pcm import Samples


class Resampler:
    """Mono samples at one rate to another, as a stream."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        # HQ, not VHQ: its shorter filter lets the first frame's audio out at once.
        self._stream = (
            None
            if from_hz == to_hz
            else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
        )

    def feed(self, samples: Samples) -> Samples:
        """Samples [N] in; what is ready [M] out."""
        if self._stream is None:
            return samples
        return np.asarray(self._stream.resample_chunk(samples), np.float32)

    def finish(self) -> Samples:
        """The rest [M]. In all, round(N * to / from) samples come out."""
        nothing = np.zeros(0, np.float32)
        if self._stream is None:
            return nothing
        return np.asarray(self._stream.resample_chunk(nothing, last=True), np.float32)


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Mono samples [N] at `from_hz` as [round(N * to / from)] at `to_hz`."""
    stream = Resampler(from_hz, to_hz)
    return np.concatenate([stream.feed(samples), stream.finish()])
