"""A training run's state: everything that a checkpoint holds."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from training import checkpoint
from training.average import follow
from training.language_model.batch import Batch
from training.language_model.cpu_attention import ProductAttention
from training.language_model.dropout import dropped
from training.language_model.objective import Losses, Objective
from training.language_model.settings import TrainingSettings
from training.optimizer import Optimizer
from training.precision import autocast

STAGE = "language_model"
_ADAM_NAMES = ("_embeddings", "lm_head", "phone_head", "depth.heads")
"""Matrices that are tables or heads: Muon is for products inside."""


class Run:
    """The weights, their average, the optimizer, and how far the run has come.

    `step` counts the steps made, `seconds` the time of training, `epoch` and `batch` say which
    batch comes next; all runs since the first together. The rates warm up from step `warm_from`.
    """

    def __init__(
        self,
        config: CsmConfig,
        settings: TrainingSettings,
        *,
        device: torch.device,
        seed: int,
        start: Csm | None = None,
    ) -> None:
        """Start from the weights of `start`, or from random ones, the same for the same seed."""
        self.config, self.settings, self.device, self.seed = config, settings, device, seed
        model = weights.create(config, seed=seed) if start is None else start
        self.objective = Objective(model.requires_grad_(True)).to(device).train()
        # Kept without gradients; also what is validated.
        self.average = copy.deepcopy(self.objective).requires_grad_(False).eval()
        self.optimizer = Optimizer(
            self.objective.named_parameters(),
            muon_rate=settings.matrix_rate,
            muon_every=settings.matrix_every,
            adam_rate=settings.other_rate,
            weight_decay=settings.weight_decay,
            adam_names=_ADAM_NAMES,
        )
        self.step = self.epoch = self.batch = self.warm_from = 0
        self.seconds = 0.0
        self.skipped = 0

    @property
    def step_seed(self) -> int:
        """Of the next step's draws, so that a resumed run draws what an unbroken one would."""
        return self.seed * 1_000_003 + self.step

    def learn(self, batch: Batch, progress: float) -> tuple[Losses, float]:
        """Make one step at `progress` (0 to 1) of the run; return losses and gradient norm.

        A step whose gradient is not finite changes nothing but the count of steps.
        """
        settings = self.settings
        faster = ProductAttention() if self.device.type == "cpu" else nullcontext()
        thinned = dropped(self.objective.model, settings.dropout, seed=self.step_seed)
        with faster, thinned, autocast(self.device):
            losses: Losses = self.objective(batch.to(self.device))
        losses.total(settings, progress).backward()
        parameters = list(self.objective.parameters())
        norm = float(nn.utils.clip_grad_norm_(parameters, settings.max_gradient_norm))
        if norm == norm and norm != float("inf"):
            self.optimizer.set_scale(settings.rate_scale(self.step - self.warm_from, progress))
            self.optimizer.step()
        else:
            self.skipped += 1
        self.optimizer.zero_grad()
        self.step += 1
        follow(self.average, self.objective, decay=settings.average_decay, step=self.step)
        return losses, norm

    def save(self, path: Path, segments: int) -> None:
        """Write the checkpoint; `segments` is the size of the corpus it was trained on."""
        checkpoint.save(
            path,
            {
                "config": self.config.to_dict(),
                "objective": self.objective.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "seed": self.seed,
                "segments": segments,
                **{name: getattr(self, name) for name in _COUNTERS},
            },
        )

    def resume(self, path: Path, segments: int) -> bool:
        """Go on from a checkpoint; False where there is none.

        When the corpus has changed its size since, a new epoch begins. Where the optimizer's state
        is left out (`training.pause`), the rates warm up again.

        Raises:
            ValueError: the checkpoint is of another model or seed.
        """
        state = checkpoint.load(path, self.device)
        if state is None:
            return False
        if state["config"] != self.config.to_dict():
            raise ValueError(
                f"{path}: trained in another shape; move it away, or ask for the size and the "
                "codec it was trained with"
            )
        if state["seed"] != self.seed:
            raise ValueError(
                f"seed: {self.seed} is not allowed, must be {state['seed']} as in {path}"
            )
        self.objective.load_state_dict(state["objective"])
        self.average.load_state_dict(state["average"])
        for name in _COUNTERS:
            setattr(self, name, state[name])
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        else:
            self.warm_from = self.step
        if state["segments"] != segments:
            self.epoch, self.batch = self.epoch + 1, 0
        return True


_COUNTERS = ("step", "epoch", "batch", "warm_from", "seconds", "skipped")


def trained_model(work: Path, device: torch.device | str = "cpu") -> Csm:
    """Return the model trained so far, its weights averaged, in fp32: for export and evaluation.

    Raises:
        FileNotFoundError: there is no checkpoint.
    """
    path = checkpoint.path_of(work, STAGE)
    state: dict[str, Any] | None = checkpoint.load(path, device)
    if state is None:
        raise FileNotFoundError(f"{path}: no such file; `python -m training.language_model` trains")
    model = Csm(CsmConfig.from_dict(state["config"]), device=device, dtype=torch.float32)
    prefix = "model."
    model.load_state_dict(
        {
            name.removeprefix(prefix): tensor
            for name, tensor in state["average"].items()
            if name.startswith(prefix)
        }
    )
    return model.eval().requires_grad_(False)
