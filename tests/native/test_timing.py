"""Two ways are timed in turns, by their fastest steps, within a budget."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.native import timing
from services.native.timing import Way, compare


class Machine:
    """A clock that only steps move."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.calls: list[str] = []

    def clock(self) -> float:
        return self.now_s

    def way(self, name: str, times_s: Iterator[float]) -> Way:
        def step() -> None:
            self.calls.append(name)
            self.now_s += next(times_s)

        return Way(step, lambda: self.calls.append(f"prepare {name}"))


def steady(seconds: float) -> Iterator[float]:
    while True:
        yield seconds


def test_steps_come_in_turns_each_behind_one_that_does_not_count() -> None:
    machine = Machine()
    pair = compare(
        machine.way("native", steady(0.02)), machine.way("torch", steady(0.03)), machine.clock
    )
    a_round = ["prepare native", "native", "native", "prepare torch", "torch", "torch"]
    assert machine.calls == a_round * timing.ROUNDS
    assert pair.native_ms == pytest.approx(20)
    assert pair.torch_ms == pytest.approx(30)
    assert pair.ratio == pytest.approx(2 / 3)


def test_the_fastest_step_counts_and_the_first_of_two_does_not() -> None:
    machine = Machine()
    native = iter([0.0001, 0.05, 0.0001, 0.01, 0.0001, 0.04])
    pair = compare(
        machine.way("native", native), machine.way("torch", steady(0.011)), machine.clock
    )
    assert pair.native_ms == pytest.approx(10)


def test_one_step_that_was_interrupted_is_not_hopeless() -> None:
    machine = Machine()
    native = iter([0.003, 0.2, 0.003, 0.003, 0.003, 0.003])
    pair = compare(
        machine.way("native", native), machine.way("torch", steady(0.017)), machine.clock
    )
    assert pair.native_ms == pytest.approx(3)


def test_what_is_hopeless_is_not_timed_again_where_it_takes_seconds() -> None:
    machine = Machine()
    compare(machine.way("native", steady(5.0)), machine.way("torch", steady(0.1)), machine.clock)
    assert machine.calls.count("native") == 2


def test_short_steps_are_timed_often_but_not_for_ever() -> None:
    machine = Machine()
    compare(machine.way("native", steady(1e-6)), machine.way("torch", steady(1e-6)), machine.clock)
    assert machine.calls.count("native") == 2 * timing.MAX_ROUNDS
    machine = Machine()
    compare(machine.way("native", steady(2e-3)), machine.way("torch", steady(2e-3)), machine.clock)
    assert machine.now_s <= timing.BUDGET_S + 8e-3 + 1e-9


def test_a_clock_that_stands_still_is_no_division_by_nothing() -> None:
    assert compare(Way(int), Way(int), lambda: 1.0).ratio == 1.0
