"""The moving average of a training's weights: what is validated, exported and kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EVERY = 4
"""Steps between two looks at the weights; the average forgets as if it looked at every one."""


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, *, decay: float, step: int) -> None:
    """Move `average` towards `model` after step number `step`; `decay` is what it keeps a step.

    Early on it follows closely, or it would remember the random start. Buffers are left alone.
    """
    if step % EVERY:
        return
    kept = min(decay, (1 + step) / (10 + step))
    mean: list[Tensor] = list(average.parameters())
    now: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(mean, now, 1 - kept**EVERY)
