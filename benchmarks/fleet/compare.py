"""Several targets of the autoscaler's rule on the same day: `python -m benchmarks.fleet day`."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.fleet.autoscaler import AutoscalerOptions
from benchmarks.fleet.day import Day, DayOptions, DayResult

MOST_LATE_PERCENT = 1.0
"""The objective for first audio: 99 % of the turns within 500 ms."""
MOST_REFUSED_PERCENT = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this simulation."""
    defaults = DayOptions()
    parser.add_argument("--targets", type=_numbers, default=[0.5, 0.6, 0.7, 0.8, 0.9])
    parser.add_argument("--slots", type=_whole, default=[8, 16, 32], help="of a generator")
    parser.add_argument("--peak-slots", type=float, default=DEFAULT_PEAK, help="generators' worth")
    parser.add_argument("--discovery-s", type=_numbers, default=[defaults.discovery_s, 30.0])
    parser.add_argument("--startup-s", type=float, default=defaults.startup_s)
    parser.add_argument("--chart", type=Path, help="draws the second of the sizes here")


DEFAULT_PEAK = 4.0
"""Generators that the busiest hour would fill, whatever their size."""


def _numbers(text: str) -> list[float]:
    return [float(one) for one in text.split(",")]


def _whole(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def run(given: argparse.Namespace) -> dict[str, Any]:
    """All combinations; the chart's if one is asked for."""
    rows: list[dict[str, Any]] = []
    drawn: dict[tuple[float, float], DayResult] = {}
    for slots in given.slots:
        for discovery_s in given.discovery_s:
            options = DayOptions(
                peak_speaking=given.peak_slots * slots,
                slots=slots,
                max_queue=2 * slots,
                startup_s=given.startup_s,
                discovery_s=discovery_s,
            )
            for target in given.targets:
                result = Day(options, AutoscalerOptions(target=target)).run()
                row = {"slots": slots, "discovery_s": discovery_s, "target": target}
                rows.append(row | result.figures(options))
                if slots == _drawn(given.slots):
                    drawn[discovery_s, target] = result
    if given.chart is not None:
        from benchmarks.fleet import day_chart

        day_chart.draw(drawn, [r for r in rows if r["slots"] == _drawn(given.slots)], given.chart)
    return {
        "benchmark": "fleet day",
        "day": asdict(DayOptions(startup_s=given.startup_s)),
        "rule": asdict(AutoscalerOptions()),
        "rows": rows,
        "recommended": recommended(rows),
    }


def _drawn(slots: Sequence[int]) -> int:
    """The size that the chart shows."""
    return slots[min(1, len(slots) - 1)]


def recommended(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each size and time of discovery the cheapest target that keeps the objective; None where
    none does."""
    found: dict[tuple[int, float], dict[str, Any] | None] = {}
    for row in rows:
        key = (row["slots"], row["discovery_s"])
        found.setdefault(key, None)
        good = row["late_percent"] <= MOST_LATE_PERCENT
        good = good and row["refused_percent"] <= MOST_REFUSED_PERCENT
        best = found[key]
        if good and (best is None or row["replica_hours"] < best["replica_hours"]):
            found[key] = row
    return [
        {
            "slots": slots,
            "discovery_s": discovery_s,
            "target": row["target"] if row else None,
            "replica_hours": row["replica_hours"] if row else None,
        }
        for (slots, discovery_s), row in found.items()
    ]
