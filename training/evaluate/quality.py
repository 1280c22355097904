"""How much of a sound a codec keeps: intelligibility, quality and spectrum."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from csm.audio.resample import resample
from training.evaluate.mel import log_mel

_RATE_HZ = 16_000


@dataclass(frozen=True)
class Quality:
    """A degraded clip beside its reference.

    `stoi` (0 to 1) and `pesq` (wide band, 1.04 to 4.64) are NaN where the reference is silent or
    too short for them. `mel_distance`: mean absolute difference of natural log-mel magnitudes.
    """

    stoi: float
    pesq: float
    mel_distance: float


def measure(reference: np.ndarray, degraded: np.ndarray, rate_hz: int) -> Quality:
    """Compare two clips of the same timing, mono float [samples] in [-1, 1].

    Raises:
        ValueError: the lengths differ.
    """
    if reference.shape != degraded.shape:
        raise ValueError(
            f"degraded: shape {list(degraded.shape)} is not allowed, must be "
            f"{list(reference.shape)}, the reference's"
        )
    distance = np.abs(log_mel(reference, rate_hz) - log_mel(degraded, rate_hz)).mean()
    clean = resample(reference.astype(np.float32), rate_hz, _RATE_HZ)
    coded = resample(degraded.astype(np.float32), rate_hz, _RATE_HZ)
    if not np.any(clean):
        return Quality(math.nan, math.nan, float(distance))
    return Quality(_stoi(clean, coded), _pesq(clean, coded), float(distance))


def _stoi(clean: np.ndarray, coded: np.ndarray) -> float:
    from pystoi import stoi

    with warnings.catch_warnings():
        # Of clips with less than 0.4 s of speech it says 1e-5 and warns: there is no figure.
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(stoi(clean, coded, _RATE_HZ))
        except RuntimeWarning:
            return math.nan


def _pesq(clean: np.ndarray, coded: np.ndarray) -> float:
    from pesq import PesqError, pesq

    try:
        return float(pesq(_RATE_HZ, clean, coded, "wb"))
    except PesqError:
        return math.nan
