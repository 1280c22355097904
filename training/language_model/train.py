"""The stage itself: batches in, a checkpoint out, watched, and resumed where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer

from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from training import checkpoint
from training.clock import training_clock
from training.codec.shape import pico
from training.language_model import conversations, shape
from training.language_model.batch import Batch, collate
from training.language_model.conversations import Conversation
from training.language_model.material import open_table
from training.language_model.objective import Losses
from training.language_model.run import STAGE, Run
from training.language_model.segments import SegmentTable
from training.language_model.settings import TrainingSettings
from training.language_model.validation import Validation
from training.watch import StopRequest, Watch

_LOG_EVERY_S = 15.0
_MAX_SKIPPED_SHARE = 0.1
_FEW_STEPS = 100


class Epochs:
    """The batches of epoch after epoch, as lists of conversations; an epoch is drawn when asked."""

    def __init__(self, table: SegmentTable, settings: TrainingSettings, seed: int) -> None:
        self._table, self._settings, self._seed = table, settings, seed
        self._dialogues = conversations.dialogues(table.dialogue, table.turn)
        self._drawn: tuple[int, list[list[Conversation]]] = (-1, [])

    def batches(self, epoch: int) -> list[list[Conversation]]:
        """Return the batches of an epoch, always the same for the same seed."""
        if self._drawn[0] != epoch:
            table, settings = self._table, self._settings
            drawn = conversations.draw(
                table.lengths,
                table.speaker,
                turn_weights=settings.turn_weights,
                max_positions=settings.max_positions,
                seed=self._seed,
                epoch=epoch,
                together=self._dialogues,
                most_repeats=settings.speaker_repeats,
            )
            if not drawn:
                raise ValueError(
                    f"max_positions: {settings.max_positions} is not allowed, every utterance of "
                    "the corpus is longer"
                )
            packed = conversations.pack(
                drawn,
                table.lengths,
                positions_per_batch=settings.positions_per_batch,
                seed=self._seed,
                epoch=epoch,
            )
            self._drawn = (epoch, packed)
        return self._drawn[1]


def train(
    work: Path,
    *,
    tokenizer: Tokenizer,
    minutes: float | None = None,
    steps: int | None = None,
    size: str = "small",
    codebook_size: int | None = None,
    settings: TrainingSettings | None = None,
    device: str = "cpu",
    seed: int = 0,
    start: Callable[[CsmConfig], Csm] | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> Run:
    """Train until the time or the steps are over, or the process is asked to end.

    Args:
        work: the voice's work directory.
        tokenizer: the voice's text tokenizer.
        minutes: of training, all runs together; the schedule spans them.
        steps: the same by count; exactly one of the two is given.
        size: a name of `shape.SIZES`.
        codebook_size: the codec's; None is pico's own.
        settings: the recipe.
        device: `cpu` or `cuda`.
        seed: of weights, order, noise. On one CPU and number of threads the same seed and `steps`
            give the same weights, however often the run was stopped.
        start: gives the weights to begin with, where there is no checkpoint; None: random ones.
        on_step: called after each step with the count of steps.

    Returns:
        The run as it stands; its checkpoint is written.

    Raises:
        ValueError: an argument is out of range, or does not fit the checkpoint or the corpus.
        FileNotFoundError: corpus or codes are missing.
        FloatingPointError: too many steps had a gradient that is not finite.
    """
    if (minutes is None) == (steps is None):
        raise ValueError(f"minutes: {minutes!r} with steps {steps!r} is not allowed, give one")
    budget = float(steps) if steps is not None else 60.0 * (minutes or 0.0)
    if not budget > 0:
        raise ValueError(f"minutes, steps: {minutes or steps!r} is not allowed, must be > 0")
    settings = settings or TrainingSettings()
    stop = StopRequest()
    table, spoken = (open_table(work, split, tokenizer) for split in ("train", "validation"))
    config = shape.build(
        size,
        num_codebooks=table.num_codebooks,
        codebook_size=codebook_size or pico().codebook_size,
    )
    largest = int(table.frames[:, :-1].max())
    if largest >= config.codebook_size:
        raise ValueError(
            f"codebook_size: {config.codebook_size} is not allowed, code {largest} is in the corpus"
        )
    checkpoint.seed_everything(seed)
    path = checkpoint.path_of(work, STAGE)
    begun = start(config) if start is not None and not path.exists() else None
    run = Run(config, settings, device=torch.device(device), seed=seed, start=begun)
    run.resume(path, len(table))
    validation = Validation(
        spoken,
        codebook_size=config.codebook_size,
        utterances=settings.validation_utterances,
        positions_per_batch=settings.positions_per_batch,
        max_positions=config.backbone.max_positions,
    )
    epochs = Epochs(table, settings, seed)
    watch = Watch(work, STAGE)

    def progress() -> float:
        return min(1.0, (run.seconds if steps is None else run.step) / budget)

    with watch.running(budget if steps is None else 1.0):
        meter = Meter()
        saved = validated = time.monotonic()
        clock = training_clock(run.device)
        while progress() < 1.0 and not stop:
            started, began = time.monotonic(), clock()
            batches = epochs.batches(run.epoch)
            batch = collate(
                table,
                batches[run.batch],
                codebook_size=config.codebook_size,
                code_noise=settings.code_noise,
                depth_share=settings.depth_share,
                seed=run.step_seed,
            )
            losses, norm = run.learn(batch, progress())
            run.batch += 1
            if run.batch == len(batches):
                run.epoch, run.batch = run.epoch + 1, 0
            now = time.monotonic()
            run.seconds += clock() - began
            meter.add(losses, norm, batch, now - started)
            _check(run)
            if meter.seconds >= _LOG_EVERY_S:
                share = run.batch / len(batches)
                scale = settings.rate_scale(run.step - run.warm_from, progress())
                watch.log(
                    run.step, run.seconds, **meter.read(), epoch=run.epoch + share, rate=scale
                )
            if now - validated >= settings.validate_every_s:
                watch.log(run.step, run.seconds, **validation.measure(run.average, run.device))
                watch.draw()
                validated = time.monotonic()
            if now - saved >= settings.checkpoint_every_s:
                run.save(path, len(table))
                saved = time.monotonic()
            on_step(run.step)
        run.save(path, len(table))
        if not stop:
            watch.log(run.step, run.seconds, **validation.measure(run.average, run.device))
    return run


class Meter:
    """Means of the figures since they were last read."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps = self._positions = self._targets = 0
        self.seconds = 0.0
        """Time of the steps since the last reading."""

    def add(self, losses: Losses, norm: float, batch: Batch, seconds: float) -> None:
        """Add one step."""
        for name, value in (losses.values() | {"gradient": norm}).items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._steps += 1
        self._positions += batch.positions
        self._targets += len(batch.scored)
        self.seconds += seconds

    def read(self) -> dict[str, float]:
        """Return the means by name, with positions and audio frames a second; begin anew."""
        figures = {name: value / max(1, self._steps) for name, value in self._sums.items()}
        figures["positions_per_s"] = self._positions / max(self.seconds, 1e-9)
        figures["frames_per_s"] = self._targets / max(self.seconds, 1e-9)
        self._reset()
        return figures


def _check(run: Run) -> None:
    if run.skipped > _MAX_SKIPPED_SHARE * max(run.step, _FEW_STEPS):
        raise FloatingPointError(
            f"{run.skipped} of {run.step} steps had a gradient that is not finite: lower the "
            "learning rates"
        )
