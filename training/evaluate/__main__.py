"""Measures a voice and writes `docs/pico.md`.

    python -m training.evaluate --work build/pico --voice models/pico

The corpus is read from `<work>/corpus`. What is measured is kept in `<work>/evaluate`, part by
part, so that a stopped run goes on with `--parts`; the page is written from all parts of the voice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from training.arguments import WORK
from training.evaluate.ears import Ears
from training.evaluate.held_out import SENTENCES, load_items
from training.evaluate.markdown import number
from training.evaluate.parts import PARTS, Evaluation
from training.evaluate.publish import load_parts, publish, publish_card
from training.evaluate.voice import Voice

REPORT = "report"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's values; a wrong one ends the program with one line."""
    parser = argparse.ArgumentParser(prog="training.evaluate", description=__doc__)
    add = parser.add_argument
    add("--work", type=Path, default=WORK, help=f"the voice's work directory ({WORK})")
    add("--voice", type=Path, default=Path("models/pico"), help="the model directory")
    add("--parts", default="all", help=f"some of {', '.join([*PARTS, REPORT])}; or all")
    add("--sentences", type=int, help="so many of the held-out sentences, spread over all")
    add("--held-out", type=Path, default=SENTENCES, help="the sentences, one a line")
    add("--docs", type=Path, default=Path("docs"), help="where pico.md goes")
    add("--card", action="store_true", help="with the report: MODEL_CARD.md beside the voice too")
    add("--jobs", type=int, default=1, help="processes of pocketsphinx at once")
    add("--threads", type=int, help="of torch and the judges; default: torch's own, and 1")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="of the model and the codec")
    add("--seed", type=int, default=0, help="added to a sentence's own")
    values = parser.parse_args(arguments)
    known = [*PARTS, REPORT]
    chosen = known if values.parts == "all" else [p.strip() for p in values.parts.split(",")]
    for name in chosen:
        if name not in known:
            parser.error(f"--parts: {name!r} is not allowed, must be of {', '.join(known)}")
    values.parts = chosen
    for name in ("sentences", "jobs", "threads"):
        value = getattr(values, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: {value} is not allowed, must be >= 1")
    return values


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for, then the page. Returns the exit status."""
    values = parse(arguments)
    console = Console(stderr=True, highlight=False)
    if values.threads:
        torch.set_num_threads(values.threads)
    try:
        _run(values, console)
    except (ValueError, OSError) as error:
        console.print(f"training.evaluate: {error}", markup=False)
        return 1
    return 0


def _run(values: argparse.Namespace, console: Console) -> None:
    with console.status("loading the voice"):
        voice = Voice(values.voice, device=values.device)
        ears = Ears(values.work, jobs=values.jobs, threads=values.threads or 1)
    measured = [name for name in values.parts if name != REPORT]
    if measured:
        items = load_items(values.work / "corpus", values.held_out, values.sentences)
        evaluation = Evaluation(values.work, voice, items, ears, values.seed)
        columns = (
            TextColumn("{task.description:>8}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=console) as progress:
            tasks = {
                n: progress.add_task(n, total=evaluation.steps(n), start=False) for n in measured
            }
            for name in measured:
                task = tasks[name]
                progress.start_task(task)
                evaluation.run(name, lambda steps, task=task: progress.advance(task, steps))  # type: ignore[misc]
    if REPORT in values.parts:
        command = (
            f"python -m training.evaluate --work {_shown(values.work)} "
            f"--voice {_shown(values.voice)}"
        )
        figures = publish(values.work, voice, ears, values.docs, command)
        _, others = load_parts(values.work, voice, ears)
        table = Table("what", "figure", "", title=f"{figures['sentences']} sentences")
        for bar in figures["bars"]:
            table.add_row(bar["title"], number(bar["figure"], bar["form"]), bar["state"])
        console.print(table)
        if others:
            console.print(f"measured of another voice or corpus, left out: {', '.join(others)}")
        console.print(f"written: {values.docs / 'pico.md'}")
        if values.card:
            console.print(f"written: {publish_card(figures, voice)}")


def _shown(path: Path) -> str:
    """The path as anybody would type it: from here, or its name where it lies elsewhere."""
    whole, here = path.resolve(), Path.cwd()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else path.name


if __name__ == "__main__":
    sys.exit(main())
