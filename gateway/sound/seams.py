"""Where sound begins or ends in the middle: a few milliseconds in which it comes or dies away."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

FADE_MS = 5.0
"""Long enough that no click is heard, short enough that no sound of speech is lost."""
AUDIBLE = 0.002
"""A jump of a smaller part of full scale (-54 dB) is left as it is."""
CUT_OFF = 0.016
"""A turn that ends on a larger sample (-36 dB) was cut off in the middle of a sound."""


def fade_samples(rate_hz: int) -> int:
    """Samples of a fade."""
    return max(2, round(rate_hz * FADE_MS / 1000))


def fade_in(samples: Samples, rate_hz: int) -> Samples:
    """The samples [N] or [N, C], their beginning risen from nothing; a copy."""
    faded = samples.copy()
    count = min(len(samples), fade_samples(rate_hz))
    faded[:count] = (faded[:count].T * _rising(count)).T
    return faded


def fade_out(samples: Samples, rate_hz: int) -> Samples:
    """The samples [N] or [N, C], their end died away; a copy."""
    return fade_in(samples[::-1], rate_hz)[::-1]


def dying_away(last: Samples, num_samples: int, rate_hz: int) -> Samples:
    """Silence [N, C] behind a sample [C] that it does not jump from: it dies away first."""
    silence = np.zeros((num_samples, len(last)), np.float32)
    count = min(num_samples, fade_samples(rate_hz))
    silence[:count] = _rising(count)[::-1, None] * last
    return silence


def joined(last: Samples, samples: Samples, rate_hz: int) -> Samples:
    """Samples [N, C] that follow a sample [C] of another sound: what they jump by dies away in
    them. As many as before; a copy."""
    moved = samples.copy()
    count = min(len(samples), fade_samples(rate_hz))
    if count:
        moved[:count] += _rising(count)[::-1, None] * (last - samples[0])
    return moved


def audible(sample: Samples, least: float = AUDIBLE) -> bool:
    """Whether a jump between nothing and this sample [C] is heard as a click."""
    return bool(np.abs(sample).max(initial=0.0) > least)


def _rising(num_samples: int) -> Samples:
    """Factors [N] of a raised cosine from 0 to 1, both excluded."""
    at = (np.arange(num_samples, dtype=np.float32) + 1) / np.float32(num_samples + 1)
    return (0.5 - 0.5 * np.cos(np.pi * at)).astype(np.float32)
