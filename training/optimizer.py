"""Muon for matrices, AdamW for everything else, as one optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from training import precision

# The polynomial that pulls all singular values towards one (Jordan et al., "Muon", 2024).
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5


class Optimizer:
    """Steps matrices by Muon, and what is no matrix (or is named) by AdamW."""

    def __init__(
        self,
        parameters: Iterable[tuple[str, nn.Parameter]],
        *,
        muon_rate: float,
        adam_rate: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.95),
        adam_names: tuple[str, ...] = (),
        muon_every: int = 1,
    ) -> None:
        """Sort `parameters` (name, parameter): of two dimensions or more and without a part of
        `adam_names` in their name go to Muon; `muon_rate` 0 gives all of them to AdamW.

        `muon_every` is as in `Muon`.
        """
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in parameters:
            if not parameter.requires_grad:
                continue
            plain = any(part in name for part in adam_names) or parameter.dim() < 2
            (others if plain or not muon_rate else matrices).append(parameter)
        self._parts: list[torch.optim.Optimizer] = []
        if others:
            self._parts.append(
                torch.optim.AdamW(
                    others, lr=adam_rate, betas=betas, weight_decay=weight_decay, fused=True
                )
            )
        if matrices:
            self._parts.append(Muon(matrices, muon_rate, weight_decay, every=muon_every))
        self._rates = [[g["lr"] for g in part.param_groups] for part in self._parts]

    def set_scale(self, scale: float) -> None:
        """Multiply every learning rate, as it was given, by `scale`."""
        for part, rates in zip(self._parts, self._rates, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * scale

    def step(self) -> None:
        for part in self._parts:
            part.step()

    def zero_grad(self) -> None:
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for part, saved in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(saved)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal (Jordan et al. 2024), for matrices.

    A convolution's weight `[out, ...]` is one: all that an output is made of is a row.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        every: int = 1,
    ) -> None:
        """Find a matrix's direction at every `every`-th step and keep to it between.

        The matrices take turns. A momentum over some twenty steps turns little in two or three,
        and finding directions is all that Muon costs.

        Raises:
            ValueError: `every` is below 1.
        """
        if every < 1:
            raise ValueError(f"every is {every}; allowed: at least 1")
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self._every = every

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for place, parameter in enumerate(group["params"]):
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                buffer = state["momentum"]
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                count = state["count"] = state.get("count", -1) + 1
                direction = state.get("direction")
                if direction is None or (count + place) % self._every == 0:
                    mean = parameter.grad.lerp(buffer, group["momentum"])
                    direction = orthogonal(mean.flatten(1)).to(parameter.dtype).view_as(parameter)
                    if self._every > 1:
                        state["direction"] = direction
                rows, columns = parameter.flatten(1).shape
                scale = max(1.0, rows / columns) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction, alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly the closest orthogonal matrix, `[rows, columns]`, in the machine's precision."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.t() if tall else matrix).to(precision.of(matrix.device)).contiguous()
    x = x / (x.norm() + 1e-7)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.t()
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x
