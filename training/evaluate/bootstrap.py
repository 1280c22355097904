"""How sure a figure is: 95 % of its resamples, sentences drawn with replacement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A figure and where 95 % of its resamples lie."""

    value: float
    low: float
    high: float


def ratio(
    above: Sequence[float], below: Sequence[float], *, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Return the sum of `above` over the sum of `below`, a pair of them a sentence.

    Raises:
        ValueError: the lengths differ, `below` sums to nothing, or `resamples` is below 1.
    """
    if len(above) != len(below):
        raise ValueError(f"below: {len(below)} are not allowed, must be {len(above)}")
    if resamples < 1:
        raise ValueError(f"resamples: {resamples} is not allowed, must be >= 1")
    over, under = np.asarray(above, float), np.asarray(below, float)
    if not under.sum():
        raise ValueError("below: a sum of 0 is not allowed, must be above 0")
    drawn = np.random.default_rng(seed).integers(len(over), size=(resamples, len(over)))
    rates = over[drawn].sum(axis=1) / under[drawn].sum(axis=1).clip(min=1)
    low, high = np.percentile(rates, (2.5, 97.5))
    return Interval(float(over.sum() / under.sum()), float(low), float(high))


def mean(values: Sequence[float], *, resamples: int = 1000, seed: int = 0) -> Interval:
    """Return the mean of a value a sentence.

    Raises:
        ValueError: there is no value, or `resamples` is below 1.
    """
    return ratio(values, np.ones(len(values)).tolist(), resamples=resamples, seed=seed)
