"""Drawing codes, each row of the batch by its own parameters and its own random numbers.

A code is drawn by an exponential race: with noise E ~ Exp(1) a code, the largest p / E wins, which
draws from p exactly (the Gumbel trick; Sesame's `models.py` draws the same way). Here it runs on
logarithms. Everything is elementwise or along one row, so that a row's code depends on nothing but
its own logits, parameters and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from services.generator.model.sampling import SamplingParams

__all__ = ["SamplingParams", "SamplingRows", "sample"]


@dataclass
class _HostRow:
    top_k: int = 0
    top_p: float = 1.0


class SamplingRows:
    """The parameters of every slot as tensors: temperature, depth_temperature and top_p fp32
    [slots], top_k int64 [slots]. A fresh row is greedy."""

    def __init__(self, slots: int, *, device: torch.device | str = "cpu") -> None:
        if slots < 1:
            raise ValueError(f"slots: {slots} is not allowed, must be >= 1")
        self.temperature = torch.zeros(slots, device=device)
        self.depth_temperature = torch.zeros(slots, device=device)
        self.top_k = torch.zeros(slots, dtype=torch.int64, device=device)
        self.top_p = torch.ones(slots, device=device)
        # Known on the host, so that a step asks the device nothing.
        self._host = [_HostRow() for _ in range(slots)]
        self._held = torch.zeros(slots, dtype=torch.bool, device=device)
        self._any_held = False

    def __len__(self) -> int:
        return len(self._host)

    def hold(self, rows: Tensor) -> None:
        """Let the rows of the mask, bool [slots] on the host, not end with their next frame."""
        self._any_held = bool(rows.any())
        self._held = rows.to(self.temperature.device, non_blocking=True)

    def without_end(self, logits: Tensor) -> Tensor:
        """Return codebook 0's logits [slots, vocab] with code 0 struck out for the held rows.

        The EOS frame is all zeros, so without this code it cannot be drawn.
        """
        if not self._any_held:
            return logits
        struck = logits.clone()
        struck[:, 0] = struck[:, 0].masked_fill(self._held, float("-inf"))
        return struck

    def set(self, slot: int, params: SamplingParams) -> None:
        """Give a slot its parameters; the others keep theirs."""
        if not 0 <= slot < len(self._host):
            raise ValueError(f"slot: {slot} is not allowed, must be in [0, {len(self._host) - 1}]")
        # fill_ takes a number along with the launch; an assignment would copy it from the host.
        self.temperature[slot].fill_(params.temperature)
        self.depth_temperature[slot].fill_(params.depth_temperature)
        self.top_k[slot].fill_(params.top_k)
        self.top_p[slot].fill_(params.top_p)
        self._host[slot] = _HostRow(params.top_k, params.top_p)

    @property
    def max_top_k(self) -> int:
        """The largest top_k of any row, 0 where none uses it."""
        return max(row.top_k for row in self._host)

    @property
    def any_top_p(self) -> bool:
        """Whether any row uses top_p."""
        return any(row.top_p < 1.0 for row in self._host)


def _keep_top_k(scores: Tensor, sampling: SamplingRows) -> Tensor:
    largest = scores.topk(min(sampling.max_top_k, scores.shape[-1]), dim=-1).values
    index = (sampling.top_k - 1).clamp(0, largest.shape[-1] - 1)
    threshold = largest.gather(-1, index[:, None])
    # A threshold, not a choice of k: codes that tie with the k-th stay, as in Sesame's sampler.
    dropped = (scores < threshold) & (sampling.top_k > 0)[:, None]
    return scores.masked_fill(dropped, float("-inf"))


def _keep_top_p(scores: Tensor, sampling: SamplingRows) -> Tensor:
    ordered = scores.sort(dim=-1, descending=True).values
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    kept = (before < sampling.top_p[:, None]).sum(dim=-1, keepdim=True)
    threshold = ordered.gather(-1, (kept - 1).clamp(min=0))
    dropped = (scores < threshold) & (sampling.top_p < 1.0)[:, None]
    return scores.masked_fill(dropped, float("-inf"))


def sample(
    logits: Tensor,
    temperature: Tensor,
    sampling: SamplingRows,
    noise: Tensor,
    codebook_size: int,
) -> Tensor:
    """Draw one code a row.

    Args:
        logits: [slots, vocab]; codes from `codebook_size` on are never drawn.
        temperature: fp32 [slots], `sampling`'s own for codebook 0 or for the others; 0 is argmax.
        sampling: top_k and top_p of the rows.
        noise: fp32 [slots, vocab], Exp(1) draws; unused where the temperature is 0.

    Returns:
        int64 [slots], each below `codebook_size`.
    """
    scores = logits[:, :codebook_size].float()
    drawn = (temperature > 0)[:, None]
    scores = scores / torch.where(drawn, temperature[:, None], 1.0)
    if sampling.max_top_k:
        scores = _keep_top_k(scores, sampling)
    if sampling.any_top_p:
        scores = _keep_top_p(scores, sampling)
    tiny = torch.finfo(torch.float32).tiny
    race = scores - noise[:, :codebook_size].clamp(min=tiny).log()
    return torch.where(drawn, race, scores).argmax(dim=-1)
