"""Kubernetes' horizontal autoscaler as a rule: load in, replicas out.

As it works on a metric of pods (autoscaling/v2): the ratio of load to target, a tolerance around
one, policies that bound how fast it goes, and a window of which the highest wish holds before it
goes down. Defaults are those of `deploy/kubernetes`.
"""

import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class AutoscalerOptions:
    """The rule's numbers."""

    target: float = 0.7
    """Turns that run or wait, over slots, of all replicas together."""
    min_replicas: int = 2
    max_replicas: int = 64
    interval_s: float = 15.0
    tolerance: float = 0.1
    up_percent: float = 50.0
    """Of the replicas at the beginning of the period, or `up_pods`, whichever is more."""
    up_pods: int = 2
    up_period_s: float = 60.0
    down_pods: int = 1
    down_period_s: float = 300.0
    down_window_s: float = 900.0
    """Nothing goes before its going has been wished for so long."""


class Autoscaler:
    """Keeps what it wished and did."""

    def __init__(self, options: AutoscalerOptions) -> None:
        self._options = options
        self._wishes: deque[tuple[float, int]] = deque()
        self._changes: deque[tuple[float, int]] = deque()

    def replicas(self, now_s: float, load: float, current: int) -> int:
        """How many there are to be; `load` is the sum over replicas of turns over slots, so those
        that still start have none."""
        options = self._options
        wished = current
        if abs(load / current / options.target - 1) > options.tolerance:
            wished = math.ceil(load / options.target)
        wished = min(max(wished, options.min_replicas), options.max_replicas)
        self._wishes.append((now_s, wished))
        while self._wishes[0][0] < now_s - options.down_window_s:
            self._wishes.popleft()
        if wished < current:
            wished = min(current, max(one for _, one in self._wishes))
        result = self._bounded(now_s, wished, current)
        if result != current:
            self._changes.append((now_s, result - current))
        return result

    def _bounded(self, now_s: float, wished: int, current: int) -> int:
        """Within the policies."""
        options = self._options
        oldest_s = now_s - max(options.up_period_s, options.down_period_s)
        while self._changes and self._changes[0][0] <= oldest_s:
            self._changes.popleft()
        if wished > current:
            added = self._changed(now_s - options.up_period_s, 1)
            before = current - added
            most = max(before + options.up_pods, math.ceil(before * (1 + options.up_percent / 100)))
            return max(current, min(wished, most))
        if wished < current:
            removed = self._changed(now_s - options.down_period_s, -1)
            least = current + removed - options.down_pods
            return min(current, max(wished, least))
        return current

    def _changed(self, since_s: float, sign: int) -> int:
        """Replicas that were added (1) or removed (-1) since then."""
        return sum(abs(n) for at, n in self._changes if at > since_s and n * sign > 0)
