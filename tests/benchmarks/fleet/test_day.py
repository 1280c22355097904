"""The simulated day."""

from dataclasses import replace

import pytest

from benchmarks.fleet.autoscaler import AutoscalerOptions
from benchmarks.fleet.compare import recommended
from benchmarks.fleet.day import Day, DayOptions, DayResult

SHORT = DayOptions(
    hours=(0.3, 0.5, 1.0, 1.0, 0.5, 0.3),
    hour_s=900.0,
    peak_speaking=24.0,
    slots=8,
    max_queue=8,
    surge=1.0,
    startup_s=30.0,
    discovery_s=30.0,
)


def lived(options: DayOptions, target: float = 0.6) -> DayResult:
    return Day(options, AutoscalerOptions(target=target)).run()


def most(result: DayResult) -> int:
    return max(one.replicas for one in result.samples)


def test_more_load_takes_more_replicas() -> None:
    sizes = [most(lived(replace(SHORT, peak_speaking=speaking))) for speaking in (12, 24, 48)]
    assert sizes == sorted(set(sizes))


def test_replicas_follow_the_day() -> None:
    samples = lived(SHORT).samples
    assert samples[0].replicas < max(one.replicas for one in samples[30:60])
    assert samples[-1].replicas < most(lived(SHORT))


def test_a_higher_target_costs_less_and_makes_more_turns_late() -> None:
    careful, bold = lived(SHORT, 0.4), lived(SHORT, 0.9)
    assert bold.replica_s < careful.replica_s
    assert bold.late / bold.turns > careful.late / careful.turns


def test_nothing_is_refused_or_late_where_there_is_more_than_enough() -> None:
    result = lived(replace(SHORT, fixed_replicas=30))
    assert result.turns > 5000
    assert (result.refused, result.late) == (0, 0)
    assert most(result) == 30


def test_too_few_replicas_refuse_and_all_their_slots_are_in_use() -> None:
    result = lived(replace(SHORT, fixed_replicas=1))
    assert result.refused > result.turns / 3
    assert result.figures(replace(SHORT, fixed_replicas=1))["utilisation"] == pytest.approx(
        1.0, abs=0.1
    )


def test_turns_hold_as_many_slots_as_are_wanted() -> None:
    result = lived(replace(SHORT, fixed_replicas=30))
    seen = sum(one.running for one in result.samples)
    wanted = sum(one.wanted for one in result.samples)
    assert seen == pytest.approx(wanted, rel=0.1)


def test_generators_that_are_found_late_make_a_surge_worse() -> None:
    surge = replace(SHORT, surge=2.0, surge_hour=1.5, surge_s=600.0)
    late = [lived(replace(surge, discovery_s=one)) for one in (5.0, 300.0)]
    assert late[0].late < late[1].late


def test_the_cheapest_target_that_keeps_the_objective_is_recommended() -> None:
    row = {"slots": 8, "discovery_s": 30.0, "refused_percent": 0.0}
    rows = [
        row | {"target": 0.5, "late_percent": 0.1, "replica_hours": 90.0},
        row | {"target": 0.6, "late_percent": 0.9, "replica_hours": 80.0},
        row | {"target": 0.7, "late_percent": 1.1, "replica_hours": 70.0},
        row | {"slots": 16, "target": 0.9, "late_percent": 3.0, "replica_hours": 40.0},
    ]
    assert [(one["slots"], one["target"]) for one in recommended(rows)] == [(8, 0.6), (16, None)]
