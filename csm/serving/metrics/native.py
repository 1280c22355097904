"""Histograms that count twice: in fixed buckets, and in exponential ones ("native").

Fixed buckets are what every scraper takes, and what the rules ask for. Native ones need no choice
of bounds and are finer; Prometheus asks for them where it is told to. Bounds follow Prometheus: at
schema s, bucket i holds values in (2^((i-1)/2^s), 2^(i/2^s)].
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from prometheus_client import Histogram
from prometheus_client.metrics_core import Metric

FINEST_SCHEMA = 3
"""Eight buckets to each doubling: a quantile is right to 4.5 %."""
MAX_BUCKETS = 160
"""Twenty doublings, from a millisecond to a quarter of an hour; beyond, two become one."""
ZERO_THRESHOLD = 2.0**-128
"""Up to here a value counts as zero."""

_BOUNDS = [2.0 ** (k / 2**FINEST_SCHEMA - 1) for k in range(2**FINEST_SCHEMA)]


@dataclass(frozen=True)
class NativeBuckets:
    """The native buckets of one series at one moment."""

    schema: int
    zero_count: int
    counts: dict[int, int]
    """By index; none is 0."""
    total: float
    """Sum of the values."""

    @property
    def count(self) -> int:
        """Number of values."""
        return self.zero_count + sum(self.counts.values())

    def spans(self) -> list[tuple[int, int]]:
        """Runs of adjacent buckets as (distance from the end of the one before, length)."""
        found: list[tuple[int, int]] = []
        end = 0
        for index in sorted(self.counts):
            if found and index == end:
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((index - end, 1))
            end = index + 1
        return found

    def deltas(self) -> list[int]:
        """Counts in order of the buckets, each less the one before."""
        counts = [0, *(self.counts[index] for index in sorted(self.counts))]
        return [after - before for before, after in pairwise(counts)]


def bucket_index(value: float) -> int:
    """The bucket of a finite value > 0 at the finest schema."""
    fraction, exponent = math.frexp(value)
    return bisect_left(_BOUNDS, fraction) + (exponent - 1) * len(_BOUNDS)


class _Counting:
    """Counts of one series. Coarser by half whenever there are too many buckets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._halved = 0
        self._zero = 0
        self._sum = 0.0
        self._counts: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Counts a value; what is no number is left out."""
        if not math.isfinite(value):
            return
        with self._lock:
            self._sum += value
            if value <= ZERO_THRESHOLD:
                self._zero += 1
                return
            index = -(-bucket_index(value) >> self._halved)
            self._counts[index] = self._counts.get(index, 0) + 1
            while len(self._counts) > MAX_BUCKETS:
                self._halve()

    def snapshot(self) -> NativeBuckets:
        """What was counted up to now."""
        with self._lock:
            schema = FINEST_SCHEMA - self._halved
            return NativeBuckets(schema, self._zero, dict(self._counts), self._sum)

    def _halve(self) -> None:
        halves: dict[int, int] = {}
        for index, count in self._counts.items():
            half = -(-index >> 1)
            halves[half] = halves.get(half, 0) + count
        self._counts = halves
        self._halved += 1


Labels = tuple[tuple[str, str], ...]


class NativeHistogram(Histogram):
    """A histogram with both kinds of buckets."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._native = _Counting()

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Counts a value in both."""
        super().observe(amount, exemplar)
        self._native.add(amount)

    def collect(self) -> Iterable[Metric]:
        """As any histogram's, and the native buckets by labels as `native` beside the samples."""
        families = list(super().collect())
        native: dict[Labels, NativeBuckets] = {}
        for labels, one in self._series():
            native[tuple(sorted(zip(self._labelnames, labels, strict=True)))] = one.snapshot()
        for family in families:
            family.native = native  # type: ignore[attr-defined]
        return families

    def _series(self) -> list[tuple[tuple[str, ...], _Counting]]:
        if not self._is_parent():
            return [((), self._native)]
        with self._lock:
            children: dict[Any, Any] = dict(self._metrics)
        return [(labels, child._native) for labels, child in children.items()]
