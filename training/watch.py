"""Watching a stage: a line that moves, a log to keep, curves to look at."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_SCALARS = 5
_COLUMNS = 3


class Watch:
    """Progress on the terminal, `<work>/logs/<stage>.jsonl`, `<work>/curves/<stage>.png`."""

    def __init__(self, work: Path, stage: str) -> None:
        self._log = work / "logs" / f"{stage}.jsonl"
        self._curves = work / "curves" / f"{stage}.png"
        self._stage = stage
        self._progress = Progress(
            TextColumn(stage),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
        )
        self._task = self._progress.add_task(stage, total=1.0, state="")

    @contextmanager
    def running(self, total_seconds: float) -> Iterator[Watch]:
        """Show progress towards `total_seconds` of training while the block runs."""
        self._progress.update(self._task, total=total_seconds)
        with self._progress:
            yield self
        self.draw()

    def log(self, step: int, seconds: float, **scalars: float) -> None:
        """Append one line of figures; `seconds` is training time, all runs together."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        rounded = {name: float(f"{value:.5g}") for name, value in scalars.items()}
        line = {"step": step, "seconds": round(seconds, 1), **rounded}
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        shown = " ".join(f"{k} {v:.4g}" for k, v in list(rounded.items())[:_LINE_SCALARS])
        self._progress.update(self._task, completed=seconds, state=f"step {step} {shown}")
        if not self._progress.console.is_terminal:
            print(json.dumps(line), flush=True)

    def draw(self) -> Path | None:
        """Draw every figure of the log against training time; None without a log."""
        if not self._log.exists():
            return None
        from matplotlib import pyplot

        series: dict[str, list[tuple[float, float]]] = {}
        for text in self._log.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            for name in line.keys() - {"step", "seconds"}:
                series.setdefault(name, []).append((line["seconds"] / 60, line[name]))
        rows = max(1, -(-len(series) // _COLUMNS))
        figure, axes = pyplot.subplots(
            rows, _COLUMNS, figsize=(4 * _COLUMNS, 2.6 * rows), squeeze=False, layout="constrained"
        )
        for axis in axes.flat:
            axis.set_visible(False)
        for axis, (name, points) in zip(axes.flat, sorted(series.items()), strict=False):
            axis.set_visible(True)
            axis.plot(*zip(*points, strict=True), linewidth=1)
            axis.set_title(name, fontsize=9)
            axis.set_xlabel("minutes of training", fontsize=7)
            axis.tick_params(labelsize=7)
            axis.grid(alpha=0.3)
        figure.suptitle(self._stage)
        self._curves.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(self._curves, dpi=110)
        pyplot.close(figure)
        return self._curves


class StopRequest:
    """True once the process was asked to end (SIGINT, SIGTERM): a stage saves, then stops."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked.set()

    def __bool__(self) -> bool:
        return self._asked.is_set()
