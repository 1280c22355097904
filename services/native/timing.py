"""How long a step takes two ways, in turns, so that whatever else the machine does hits both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 3
"""At least; the fastest step counts, as a neighbour makes one longer, never shorter."""
MAX_ROUNDS = 30
BUDGET_S = 0.08
"""Of one piece of work by both ways; the least rounds may take longer."""
LONG_S = 1.0
HOPELESS = 2.0
"""After so long, where one takes so many times the other's, no rounds are waited for. Before that
they are: a step that the system interrupts looks hopeless too, and what is measured is kept."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class Way:
    """A step to be timed, and what comes before it and is not (say, setting torch's threads)."""

    step: Callable[[], object]
    prepare: Callable[[], None] = lambda: None

    def seconds(self, clock: Clock) -> float:
        """One step, behind one that does not count: the other way's data were in the cache, and
        its threads may still spin."""
        self.prepare()
        self.step()
        began = clock()
        self.step()
        return clock() - began


@dataclass(frozen=True)
class Timed:
    """Milliseconds of the fastest step of a native level and of torch, measured in turns."""

    native_ms: float
    torch_ms: float

    @property
    def ratio(self) -> float:
        """Native's share of torch's time."""
        return self.native_ms / self.torch_ms


def compare(native: Way, by_torch: Way, clock: Clock = time.perf_counter) -> Timed:
    """Time both in turns until the budget is spent."""
    began = clock()
    best_s = [float("inf"), float("inf")]
    for number in range(1, MAX_ROUNDS + 1):
        for index, way in enumerate((native, by_torch)):
            best_s[index] = min(best_s[index], way.seconds(clock))
        spent_s = clock() - began
        hopeless = max(best_s) > HOPELESS * min(best_s)
        if (number >= ROUNDS and spent_s >= BUDGET_S) or (hopeless and spent_s >= LONG_S):
            break
    # A clock may be too coarse to have moved.
    native_s, torch_s = (max(each, 1e-9) for each in best_s)
    return Timed(1000 * native_s, 1000 * torch_s)
