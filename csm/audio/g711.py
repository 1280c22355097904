"""G.711: 16-bit samples to one byte each and back, mu-law and A-law, by one lookup a sample.

Levels and decision values are those of ITU-T G.711; a sample that is a decision value belongs to
the interval above it, as in ITU-T's own software (G.191).
"""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Values = NDArray[np.int16]

# Codes from the quietest to the loudest.
_MULAW_POSITIVE = np.arange(0xFF, 0x7F, -1).astype(np.uint8)
_ALAW_POSITIVE = np.arange(0x80, 0x100).astype(np.uint8) ^ np.uint8(0x55)
_SIGN = np.uint8(0x80)
# Segment and step within it, of codes from the quietest to the loudest: eight segments of sixteen
# steps. A step of mu-law's is twice as wide in each segment, A-law's two lowest are equally wide.
_SEGMENT, _STEP = np.divmod(np.arange(128, dtype=np.int32), 16)
_MULAW_HALF_STEP = 4 << _SEGMENT
_ALAW_HALF_STEP = 4 << np.maximum(_SEGMENT, 1)
# The sample in the middle of each step.
_MULAW_SIZES = (2 * _STEP + 33) * _MULAW_HALF_STEP - 33 * 4
_ALAW_SIZES = (2 * _STEP + np.where(_SEGMENT, 33, 1)) * _ALAW_HALF_STEP


def _levels(positive: Codes, sizes: NDArray[np.int32]) -> Values:
    """The sample of each code [256]."""
    levels = np.zeros(256, np.int16)
    levels[positive] = sizes
    levels[positive ^ _SIGN] = -sizes
    return levels


def _codes(positive: Codes, least: NDArray[np.int32]) -> Codes:
    """The code of each sample [65536], at the sample's bits as uint16.

    `least` is the smallest sample of each step but the first.
    """
    samples = np.arange(1 << 16).astype(np.uint16).view(np.int16)
    # ~x is -x - 1: the interval above a negative decision value is the quieter one.
    steps = np.searchsorted(least, np.where(samples < 0, ~samples, samples), side="right")
    return positive[steps] ^ np.where(samples < 0, _SIGN, np.uint8(0))


MULAW_LEVELS = _levels(_MULAW_POSITIVE, _MULAW_SIZES)
"""The sample of each code of mu-law [256]."""
ALAW_LEVELS = _levels(_ALAW_POSITIVE, _ALAW_SIZES)
"""The sample of each code of A-law [256]."""

_MULAW_CODES = _codes(_MULAW_POSITIVE, (_MULAW_SIZES - _MULAW_HALF_STEP)[1:])
_ALAW_CODES = _codes(_ALAW_POSITIVE, (_ALAW_SIZES - _ALAW_HALF_STEP)[1:])


def mulaw_codes(samples: Values) -> Codes:
    """Samples [N] as codes of mu-law [N]."""
    return _MULAW_CODES[samples.view(np.uint16)]


def alaw_codes(samples: Values) -> Codes:
    """Samples [N] as codes of A-law [N]."""
    return _ALAW_CODES[samples.view(np.uint16)]
