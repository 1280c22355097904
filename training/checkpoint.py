"""Checkpoints that a stopped run goes on from."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch


def path_of(work: Path, stage: str) -> Path:
    """Where the checkpoint of `stage` lies in the work directory."""
    return work / "checkpoints" / f"{stage}.pt"


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that a stop at any moment leaves the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """Read what `save` wrote; None where there is nothing yet."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def seed_everything(seed: int) -> None:
    """Seed every generator of random numbers that training draws from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
