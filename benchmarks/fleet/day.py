"""A day of turns, and generators that come and go with them: a simulation of single turns.

`python -m benchmarks.fleet day` compares targets of the autoscaler's rule. A turn goes to a
generator by the hash of its conversation, which is to say to any, whoever else is free; it takes a
slot there, waits for one, or is refused where the queue is full.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

from benchmarks import machine
from benchmarks.fleet.autoscaler import Autoscaler, AutoscalerOptions

HOURS = (
    0.25, 0.18, 0.14, 0.12, 0.12, 0.16, 0.28, 0.45, 0.66, 0.82, 0.90, 0.94,
    0.92, 0.90, 0.92, 0.94, 0.92, 0.90, 0.92, 0.98, 1.00, 0.86, 0.62, 0.40,
)  # fmt: skip
"""Load of each hour, of the busiest one's: one time zone, people awake."""
LATE_S = 0.25
"""A turn that waits longer for its slot is likely to miss the objective for first audio, 500 ms."""


@dataclass(frozen=True)
class DayOptions:
    """The load, and what a generator is."""

    hours: tuple[float, ...] = HOURS
    hour_s: float = 3600.0
    peak_speaking: float = 48.0
    """Turns that hold a slot at the same time, on average in the busiest hour."""
    slot_s: float = 5.0
    """That a turn holds its slot, on average; lognormal with `slot_spread`. Of a turn that is
    paced: about its audio, less the lead."""
    slot_spread: float = 0.6
    surge: float = 1.5
    """Load is so many times higher for `surge_s` from `surge_hour` on: something is on the news."""
    surge_hour: float = 15.0
    surge_s: float = 900.0
    slots: int = 16
    """Of a generator."""
    max_queue: int = 16
    startup_s: float = 90.0
    """From the autoscaler's wish to a generator that is ready: a node, an image, the model."""
    discovery_s: float = 300.0
    """At most, until gateways have found it: CSM_GENERATOR_MAX_CONNECTION_AGE_S."""
    metric_age_s: float = 15.0
    """Of the load that the autoscaler sees."""
    fixed_replicas: int = 0
    """So many all day, without an autoscaler; 0: with."""
    sample_s: float = 60.0
    seed: int = 1

    @property
    def day_s(self) -> float:
        """Seconds of it all."""
        return len(self.hours) * self.hour_s


@dataclass
class Sample:
    """A look at the fleet."""

    hour: float
    wanted: float
    """Turns that were to hold a slot on average."""
    running: int
    waiting: int
    replicas: int
    """Paid for, ready or not."""
    serving: int
    refused: int
    """Turns since the look before."""


@dataclass
class DayResult:
    """What came of it."""

    turns: int = 0
    refused: int = 0
    late: int = 0
    """Turns that waited longer than `LATE_S`."""
    waits_s: list[float] = field(default_factory=list)
    """Of those that waited at all."""
    replica_s: float = 0.0
    slot_s: float = 0.0
    """Seconds of slots that were held."""
    samples: list[Sample] = field(default_factory=list)

    def figures(self, options: DayOptions) -> dict[str, Any]:
        """For the table; the utilisation is that of what was paid for."""
        served = max(1, self.turns - self.refused)
        waits_s = self.waits_s + [0.0] * (served - len(self.waits_s))
        return {
            "turns": self.turns,
            "refused_percent": round(100 * self.refused / max(1, self.turns), 3),
            "late_percent": round(100 * self.late / served, 2),
            "wait_ms_p99": round(1000 * machine.percentile(waits_s, 0.99)),
            "replica_hours": round(self.replica_s / 3600, 1),
            "replicas_most": max((one.replicas for one in self.samples), default=0),
            "utilisation": round(self.slot_s / max(1.0, self.replica_s * options.slots), 3),
        }


class _Replica:
    """A generator."""

    def __init__(self) -> None:
        self.running = 0
        self.queue: deque[tuple[float, float]] = deque()
        """(when it came, how long it is to hold a slot) of turns that wait."""
        self.serving = False
        self.leaving = False

    @property
    def load(self) -> int:
        return self.running + len(self.queue)


class Day:
    """One simulation; `run` once."""

    def __init__(self, options: DayOptions, rule: AutoscalerOptions) -> None:
        self._options, self._rule = options, rule
        self._env = simpy.Environment()
        self._random = random.Random(options.seed)
        self._replicas: list[_Replica] = []
        self._serving: list[_Replica] = []
        self._result = DayResult()
        self._refused_before = 0
        self._seen = deque([0.0], maxlen=1 + round(options.metric_age_s / rule.interval_s))

    def run(self) -> DayResult:
        """Lives the day."""
        options, env = self._options, self._env
        begin = options.fixed_replicas or max(
            self._rule.min_replicas,
            math.ceil(self._wanted(0.0) / options.slots / self._rule.target),
        )
        for _ in range(begin):
            self._add(at_once=True)
        env.process(self._arrivals())
        env.process(self._look())
        if not options.fixed_replicas:
            env.process(self._autoscale(Autoscaler(self._rule)))
        env.run(until=options.day_s)
        return self._result

    def _wanted(self, now_s: float) -> float:
        """Turns that are to hold a slot now, on average."""
        options = self._options
        hour = now_s / options.hour_s
        at, part = int(hour) % len(options.hours), hour % 1
        following = options.hours[(at + 1) % len(options.hours)]
        share = options.hours[at] * (1 - part) + following * part
        begin_s = options.surge_hour * options.hour_s
        surge = options.surge if begin_s <= now_s < begin_s + options.surge_s else 1.0
        return options.peak_speaking * share * surge

    def _arrivals(self) -> Generator[simpy.Event, Any, None]:
        options, env, draw = self._options, self._env, self._random
        middle = math.log(options.slot_s) - options.slot_spread**2 / 2
        while True:
            rate = self._wanted(env.now) / options.slot_s
            yield env.timeout(draw.expovariate(rate))
            self._come(draw.lognormvariate(middle, options.slot_spread))

    def _come(self, slot_s: float) -> None:
        result = self._result
        result.turns += 1
        if not self._serving:
            result.refused += 1
            return
        replica = self._random.choice(self._serving)
        if replica.running < self._options.slots:
            self._begin(replica, slot_s)
        elif len(replica.queue) < self._options.max_queue:
            replica.queue.append((self._env.now, slot_s))
        else:
            result.refused += 1

    def _begin(self, replica: _Replica, slot_s: float) -> None:
        replica.running += 1
        self._result.slot_s += slot_s
        end = self._env.timeout(slot_s)
        end.callbacks.append(lambda _: self._end(replica))

    def _end(self, replica: _Replica) -> None:
        replica.running -= 1
        if replica.queue:
            came_s, slot_s = replica.queue.popleft()
            waited_s = self._env.now - came_s
            self._result.waits_s.append(waited_s)
            self._result.late += waited_s > LATE_S
            self._begin(replica, slot_s)
        elif replica.leaving and not replica.running:
            self._replicas.remove(replica)

    def _look(self) -> Generator[simpy.Event, Any, None]:
        options, result = self._options, self._result
        while True:
            now_s = self._env.now
            result.samples.append(
                Sample(
                    now_s / options.hour_s,
                    self._wanted(now_s),
                    sum(one.running for one in self._replicas),
                    sum(len(one.queue) for one in self._replicas),
                    len(self._replicas),
                    len(self._serving),
                    result.refused - self._refused_before,
                )
            )
            self._refused_before = result.refused
            yield self._env.timeout(options.sample_s)
            result.replica_s += options.sample_s * len(self._replicas)

    # --- the autoscaler's hands ---

    def _autoscale(self, rule: Autoscaler) -> Generator[simpy.Event, Any, None]:
        options = self._options
        while True:
            yield self._env.timeout(self._rule.interval_s)
            staying = [one for one in self._replicas if not one.leaving]
            self._seen.append(sum(one.load for one in staying) / options.slots)
            wished = rule.replicas(self._env.now, self._seen[0], len(staying))
            for _ in range(wished - len(staying)):
                self._add()
            for _ in range(len(staying) - wished):
                self._remove(staying)

    def _add(self, *, at_once: bool = False) -> None:
        replica = _Replica()
        self._replicas.append(replica)
        if at_once:
            self._serve(replica)
            return
        options = self._options
        ready_s = options.startup_s + self._random.uniform(0, options.discovery_s)
        self._env.timeout(ready_s).callbacks.append(lambda _: self._serve(replica))

    def _serve(self, replica: _Replica) -> None:
        if not replica.leaving:
            replica.serving = True
            self._serving.append(replica)

    def _remove(self, staying: list[_Replica]) -> None:
        """The newest goes, as in Kubernetes; what runs there ends there."""
        replica = staying.pop()
        replica.leaving = True
        if replica.serving:
            self._serving.remove(replica)
        if not replica.load:
            self._replicas.remove(replica)
