"""The picture of a day: what was wanted, what served, what it cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.fleet.day import DayResult

COLOURS = ("#0072b2", "#009e73", "#e69f00", "#d55e00", "#cc79a7", "#56b4e9")
"""Told apart by most people who see colours otherwise (Okabe and Ito)."""
GREY = "#555555"


def draw(
    days: Mapping[tuple[float, float], DayResult], rows: Sequence[dict[str, Any]], path: Path
) -> None:
    """`days` and `rows` are of one size of generator; keys are (discovery_s, target)."""
    times = sorted({discovery_s for discovery_s, _ in days})
    targets = sorted({target for _, target in days})
    colours = dict(zip(targets, COLOURS, strict=False))
    slots = rows[0]["slots"]
    figure, (over, late, cost) = plt.subplots(
        3, 1, figsize=(9, 10), height_ratios=(3, 2, 2), layout="constrained"
    )
    quick = times[0]
    wanted = days[quick, targets[0]].samples
    hours = [one.hour for one in wanted]
    over.fill_between(hours, [one.wanted / slots for one in wanted], color="#dddddd",
                      label="wanted, if every slot were full")  # fmt: skip
    for target in targets:
        samples = days[quick, target].samples
        over.step(hours, [one.replicas for one in samples], where="post", lw=1.3,
                  color=colours[target], label=f"target {target:g}")  # fmt: skip
    over.set(
        title=f"Generators of {slots} slots on a simulated day, found within {quick:g} s",
        xlabel="hour",
        ylabel="replicas",
        xlim=(0, 24),
        xticks=range(0, 25, 2),
        ylim=(0, None),
    )
    over.legend(fontsize=8, ncols=3, loc="upper left")
    _bars(late, rows, times, targets, "late_percent")
    late.axhline(1.0, color=GREY, lw=1, ls="--")
    late.annotate("objective: 1 %", (0.005, 1.0), xycoords=("axes fraction", "data"),
                  ha="left", va="bottom", fontsize=8, color=GREY)  # fmt: skip
    late.set(ylabel="turns late for a slot, %", title="What a listener notices")
    _bars(cost, rows, times, targets, "replica_hours")
    cost.set(ylabel="replica hours a day", xlabel="target of the autoscaler", title="What it costs")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(
    axes: Any,
    rows: Sequence[dict[str, Any]],
    times: Sequence[float],
    targets: Sequence[float],
    figure: str,
) -> None:
    width = 0.8 / len(times)
    for number, discovery_s in enumerate(times):
        values = [
            next(r[figure] for r in rows if (r["discovery_s"], r["target"]) == (discovery_s, t))
            for t in targets
        ]
        places = [n + (number - (len(times) - 1) / 2) * width for n in range(len(targets))]
        bars = axes.bar(places, values, width * 0.95, color=COLOURS[number],
                        label=f"found within {discovery_s:g} s")  # fmt: skip
        axes.bar_label(bars, fmt="%.3g", fontsize=8)
    axes.set_xticks(range(len(targets)), [f"{target:g}" for target in targets])
    axes.margins(y=0.15)
    axes.legend(fontsize=8)
