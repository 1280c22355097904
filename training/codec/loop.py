"""The loop that both trainings of the codec run in: steps, figures, checkpoints, time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch

from training import checkpoint
from training.codec.data import Crops
from training.corpus.store import Corpus
from training.watch import StopRequest, Watch


class Trainer(Protocol):
    """A training that can be stopped and taken up; `seconds` is the time it has trained."""

    device: torch.device
    step_number: int
    seconds: float

    def step(self, crops: Crops) -> dict[str, float]: ...
    def validate(self, crops: Crops) -> dict[str, float]: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...


def run(
    trainer: Trainer,
    work: Path,
    stage: str,
    *,
    minutes: float,
    crops: Callable[[Corpus], Crops],
    most_steps: int | None,
    log_every: int,
    save_every_s: float,
) -> None:
    """Step until the time or `most_steps` is over, or the process is asked to stop.

    Takes up the checkpoint of `stage` in `work`, and leaves one.
    """
    path = checkpoint.path_of(work, stage)
    if state := checkpoint.load(path, trainer.device):
        trainer.restore(state)
    training, held = (crops(Corpus.open(work / "corpus", s)) for s in ("train", "validation"))
    stop, watch = StopRequest(), Watch(work, stage)
    saved = time.monotonic()
    with watch.running(60 * minutes):
        while trainer.seconds < 60 * minutes and not stop:
            if most_steps is not None and trainer.step_number >= most_steps:
                break
            started = time.monotonic()
            figures = trainer.step(training)
            trainer.seconds += time.monotonic() - started
            if trainer.step_number % log_every == 0:
                watch.log(trainer.step_number, trainer.seconds, **figures)
            if time.monotonic() - saved > save_every_s:
                checkpoint.save(path, trainer.state())
                watch.log(trainer.step_number, trainer.seconds, **trainer.validate(held))
                saved = time.monotonic()
    checkpoint.save(path, trainer.state())
