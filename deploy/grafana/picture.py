"""Draws the dashboard from what a Prometheus has seen, where there is no Grafana at hand:

python -m deploy.grafana.picture http://127.0.0.1:9090 dashboard.png --minutes 60
"""

import argparse
import json
import re
import time
import urllib.parse
import urllib.request
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from deploy.grafana.panels import ROWS, Panel

COLUMNS = 3
POINTS = 240
RED = "#c4162a"


def filled(query: str, window_s: int) -> str:
    """The query with what Grafana would put in: all instances, and the window of rates."""
    query = query.replace("$__rate_interval", f"{window_s}s")
    return re.sub(r"\$(gateway|generator|tokenizer)", ".*", query)


def fetch(url: str, query: str, start: float, end: float) -> list[dict[str, Any]]:
    """The series of a query over a time. Raises `OSError` where Prometheus does not answer."""
    step = (end - start) / POINTS
    asked = urllib.parse.urlencode({"query": query, "start": start, "end": end, "step": step})
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{asked}", timeout=30) as answer:
        return list(json.load(answer)["data"]["result"])


def _format(unit: str) -> FuncFormatter:
    def text(value: float, _: int) -> str:
        if unit == "percentunit":
            return f"{value * 100:.4g} %"
        if unit == "bytes":
            return f"{value / 2**20:.4g} MiB"
        if unit == "s":
            return f"{value * 1000:.4g} ms" if value < 1 else f"{value:.4g} s"
        return f"{value:.4g}" + ("/s" if unit == "ops" else "")

    return FuncFormatter(text)


def draw(axes: Axes, panel: Panel, url: str, start: float, end: float, window_s: int) -> None:
    """One panel with a line a series."""
    highest = 0.0
    for query, legend in panel["queries"]:
        for series in fetch(url, filled(query, window_s), start, end):
            label = legend
            for name, value in series["metric"].items():
                label = label.replace(f"{{{{{name}}}}}", value)
            points = [(float(at) - end, float(value)) for at, value in series["values"]]
            numbers = [value for _, value in points if value == value]
            highest = max([highest, *numbers])
            minutes, heights = [at / 60 for at, _ in points], [v for _, v in points]
            axes.plot(minutes, heights, lw=1, label=label)
    line = panel["ceiling"] or panel["floor"]
    if line and line < 4 * highest:
        axes.axhline(line, color=RED, lw=0.8, ls="--")
    axes.set_title(panel["title"], fontsize=9, loc="left")
    axes.set_xlim((start - end) / 60, 0)
    # Room for the legend.
    axes.set_ylim(0, 1.45 * highest or 1)
    axes.yaxis.set_major_formatter(_format(panel["unit"]))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(labelsize=7)
    axes.grid(lw=0.3)
    if axes.lines:
        axes.legend(fontsize=6, frameon=False, loc="upper left", ncols=2).set_in_layout(False)


def picture(url: str, path: str, minutes: float, window_s: int) -> None:
    """Draws all panels into a file, row by row."""
    end = time.time()
    lines: list[tuple[str, list[Panel]]] = []
    for title, row in ROWS.items():
        chunks = [row[at : at + COLUMNS] for at in range(0, len(row), COLUMNS)]
        lines += [(title if not n else "", chunk) for n, chunk in enumerate(chunks)]
    size = (5.2 * COLUMNS, 2.5 * len(lines))
    figure, grid = pyplot.subplots(len(lines), COLUMNS, figsize=size, layout="constrained")
    for (title, chunk), row in zip(lines, grid, strict=True):
        for axes in row[len(chunk) :]:
            axes.axis("off")
        for panel, axes in zip(chunk, row, strict=False):
            draw(axes, panel, url, end - minutes * 60, end, window_s)
        if title:
            row[0].annotate(
                title, (0, 1.18), xycoords="axes fraction", fontsize=13, fontweight="bold"
            )
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def main() -> None:
    """Reads the arguments and draws."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", help="of Prometheus")
    parser.add_argument("path", help="of the picture, .png")
    parser.add_argument("--minutes", type=float, default=60, help="up to now")
    parser.add_argument("--window-s", type=int, default=60, help="of rates; four scrapes at least")
    given = parser.parse_args()
    picture(given.url.rstrip("/"), given.path, given.minutes, given.window_s)


if __name__ == "__main__":
    main()
