"""How much each judge of the decoder weighs: by its gradient at the audio, beside the spectra's.

Without it the adversary's gradient, tens of times the spectra's, decides every step (the balancer
of Défossez et al. 2022, arXiv 2210.13438, section 3.4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Opinion:
    """A scalar to be made small, and its share of the spectra's gradient.

    `part` is what of the audio's samples it heard: sizes are compared there.
    """

    value: Tensor
    share: float
    part: slice = field(default_factory=lambda: slice(None))


class Balance:
    """Weighs opinions; how large a gradient is a unit of each is found anew now and then.

    Gradients change slowly beside what one step takes. Each opinion's own is needed only to find
    its size; between, all of them walk back through the audio's losses together.
    """

    def __init__(self, every: int) -> None:
        """Find sizes at every `every`-th step.

        Raises:
            ValueError: `every` is below 1.
        """
        if every < 1:
            raise ValueError(f"balance_every: {every} is not allowed, must be at least 1")
        self._every = every
        self.sizes: dict[str, float] = {}
        """Of the spectra's gradient, in units of each opinion's."""

    def gradient(
        self, step: int, audio: Tensor, spectra: Tensor, opinions: Mapping[str, Opinion]
    ) -> Tensor:
        """The gradient at `audio`, as it is shaped, of `spectra` and all opinions in balance."""
        if step % self._every and not opinions.keys() - self.sizes.keys():
            total = spectra
            for name, one in opinions.items():
                total = total + one.share * self.sizes[name] * one.value
            return torch.autograd.grad(total, audio, retain_graph=True)[0]
        first = torch.autograd.grad(spectra, audio, retain_graph=True)[0]
        total = first.clone()
        for name, one in opinions.items():
            own = torch.autograd.grad(one.value, audio, retain_graph=True)[0]
            size = first[:, one.part].norm() / (own[:, one.part].norm() + 1e-12)
            self.sizes[name] = float(size)
            total += one.share * self.sizes[name] * own
        return total


class Patience:
    """What the adversary weighs: more while the spectra of held crops do not suffer, else less.

    `scale` goes from 1 up to `most`. Judged by spectra alone: what rates the voice in the end is
    never asked in training.
    """

    def __init__(self, most: float, tolerance: float) -> None:
        """`tolerance` is how much worse, in parts, the spectra may be than where it began.

        Raises:
            ValueError: `most` is below 1, or `tolerance` below 0.
        """
        if most < 1:
            raise ValueError(f"most: {most} is not allowed, must be at least 1")
        if tolerance < 0:
            raise ValueError(f"tolerance: {tolerance} is not allowed, must be at least 0")
        self._most, self._tolerance = most, tolerance
        self.scale = 1.0
        self.least: float | None = None
        """The best that held crops have been."""

    def heed(self, distance: float) -> None:
        """Take note of how far the spectra of held crops are off."""
        self.least = distance if self.least is None else min(self.least, distance)
        suffers = distance > self.least * (1 + self._tolerance)
        self.scale = min(self._most, max(1.0, self.scale * (_LESS if suffers else _MORE)))

    def state(self) -> dict[str, float | None]:
        return {"scale": self.scale, "least": self.least}

    def restore(self, state: Mapping[str, float | None]) -> None:
        """Take up what `state()` gave."""
        self.scale, self.least = float(state["scale"] or 1.0), state["least"]


_MORE, _LESS = 1.1, 0.8
