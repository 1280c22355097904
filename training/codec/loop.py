"""What the codec's trainings run in: a command line; steps, figures, checkpoints, time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from training import checkpoint, precision
from training.arguments import add_training, parser, settings_of
from training.clock import training_clock
from training.codec.data import Ahead, Crops, Source
from training.corpus.store import Corpus, part_names
from training.memory import keep_freed_memory
from training.watch import StopRequest, Watch

Chosen = TypeVar("Chosen")


class Settings(Protocol):
    """What every training of the codec is told."""

    @property
    def minutes(self) -> float: ...
    @property
    def frames(self) -> int: ...


class Trainer(Protocol):
    """A training that can be stopped and taken up; `seconds` is the time it has trained."""

    device: torch.device
    step_number: int
    seconds: float

    def step(self, crops: Source) -> dict[str, float]: ...
    def validate(self, crops: Source) -> dict[str, float]: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...


def run(
    trainer: Trainer,
    work: Path,
    stage: str,
    *,
    settings: Settings,
    frame_samples: int,
    seed: int,
    most_steps: int | None,
    log_every: int,
    save_every_s: float,
) -> None:
    """Step until the time or `most_steps` is over, or the process is asked to stop.

    Takes up the checkpoint of `stage` in `work`, and leaves one. `seed` is that of the crops.
    """
    path = checkpoint.path_of(work, stage)
    if state := checkpoint.load(path, trainer.device):
        trainer.restore(state)
    found_step = trainer.step_number if state else None

    def opened(split: str) -> Source:
        crops = Crops(
            Corpus.open(work / "corpus", split),
            frames=settings.frames,
            frame_samples=frame_samples,
            seed=seed,
        )
        return crops if trainer.device.type == "cpu" else Ahead(crops)

    parts = part_names(work / "corpus", "train")
    training, held = opened("train"), opened("validation")
    clock = training_clock(trainer.device)
    print(f"{stage}: computes in {precision.of(trainer.device)}", flush=True)
    stop, watch = StopRequest(), Watch(work, stage)
    saved = time.monotonic()
    budget_s = 60 * settings.minutes
    with watch.running(budget_s):
        while trainer.seconds < budget_s and not stop:
            if most_steps is not None and trainer.step_number >= most_steps:
                break
            started = clock()
            figures = trainer.step(training)
            trainer.seconds += clock() - started
            if trainer.step_number % log_every == 0:
                watch.log(trainer.step_number, trainer.seconds, **figures)
            if time.monotonic() - saved > save_every_s:
                checkpoint.save(path, trainer.state())
                watch.log(trainer.step_number, trainer.seconds, **trainer.validate(held))
                saved = time.monotonic()
                # What a corpus that is still spoken has got meanwhile.
                if (now := part_names(work / "corpus", "train")) != parts:
                    parts = now
                    try:
                        training = opened("train")
                    except (OSError, ValueError) as error:
                        # Hours of training must not end by a part that cannot be read.
                        print(f"{stage}: goes on with the parts it had: {error}", flush=True)
    # A checkpoint that is newer than the codes made by it has them all made again.
    if trainer.step_number != found_step:
        checkpoint.save(path, trainer.state())


def command(
    stage: str,
    description: str | None,
    settings: type[Chosen],
    train: Callable[..., object],
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """The command line of a training: `train(work, settings, device=..., most_steps=...)`.

    `options` are more of its flags, each with what `argparse.add_argument` takes; they are passed
    on by name.
    """
    arguments = parser(stage, description)
    more = [arguments.add_argument(flag, **how).dest for flag, how in (options or {}).items()]
    add_training(arguments, settings)
    given = arguments.parse_args()
    keep_freed_memory()
    torch.set_num_threads(given.threads)
    train(
        given.work,
        settings_of(given, settings),
        device=given.device,
        most_steps=given.most_steps,
        **{name: getattr(given, name) for name in more},
    )
