"""The contract every streaming layer keeps, and the few operations its states share.

A layer owns a state dataclass that is batched over streams ("rows"). Stepping a layer with a state
advances the rows that execute; the others keep their state and their output is garbage. A state is
tensors of fixed shape, written in place, so a step allocates no state and can be captured as a
CUDA graph. Without a state a layer sees a whole sequence from its start, stays differentiable and
gives the same result as any sequence of steps.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class LayerState(Protocol):
    """What a layer remembers of each stream between two steps."""

    def reset(self, mask: Tensor | None = None) -> None:
        """Make the rows where `mask` (bool `[rows]`) is True fresh; all rows when it is None."""


def row_mask(mask: Tensor | None, rows: int, device: torch.device, name: str) -> Tensor | None:
    """Check a per-row mask and bring it to the state's device.

    Raises:
        ValueError: `mask` is not bool of shape `[rows]`.
    """
    if mask is None:
        return None
    if mask.dtype != torch.bool or tuple(mask.shape) != (rows,):
        raise ValueError(
            f"{name} is {mask.dtype} of shape {list(mask.shape)}; allowed: bool of shape [{rows}]"
        )
    return mask.to(device)


def store(target: Tensor, value: Tensor, exec_mask: Tensor | None) -> None:
    """Write `value` over `target` (both `[rows, ...]`) in the rows that execute."""
    if exec_mask is not None:
        shape = (-1,) + (1,) * (target.dim() - 1)
        value = torch.where(exec_mask.view(shape), value, target)
    target.copy_(value)


def clear(target: Tensor, value: float | bool, mask: Tensor | None) -> None:
    """Fill the rows of `target` chosen by `mask` (all when None) with `value`."""
    if mask is None:
        target.fill_(value)
    else:
        shape = (-1,) + (1,) * (target.dim() - 1)
        target.masked_fill_(mask.view(shape), value)
