"""Training of the split residual quantizer: straight-through, moving averages, dead codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from services.tokenizer.codec.quantizer import ResidualQuantizer, SplitQuantizer

_DECAY = 0.995
# A code used less than this share of an even use is put where the data is.
_DEAD_SHARE = 0.05
_KMEANS_STEPS = 10
# Code 0 of the first codebook means "end" to the language model (a frame of zeros): it lies where
# no latent comes near it.
_FAR = 50.0


@dataclass(frozen=True)
class Quantized:
    """`latents` `[rows, frames, hidden]` for the decoder, `codes` `[rows, books, frames]`.

    `semantic` is the first codebook's own output in the codebooks' space, `[rows, frames, dim]`;
    `commitment` pulls the encoder to the codes it chose.
    """

    latents: Tensor
    codes: Tensor
    semantic: Tensor
    commitment: Tensor


def quantize(
    quantizer: SplitQuantizer, latents: Tensor, *, kept: Tensor | None, update: bool
) -> Quantized:
    """Quantize float32 `latents` `[rows, frames, hidden]`, gradients passing straight through.

    `kept` (int64 `[rows]`) says how many acoustic codebooks each row keeps, None: all. `update`
    moves the codebooks towards what they were used for (van den Oord et al. 2017, appendix A.1).
    """
    semantic = quantizer.semantic.project(latents)
    q_semantic, codes_semantic, loss_semantic = _residual(
        quantizer.semantic, semantic, None, update
    )
    acoustic = quantizer.acoustic.project(latents)
    q_acoustic, codes_acoustic, loss_acoustic = _residual(
        quantizer.acoustic, acoustic, kept, update
    )
    out = _expand(quantizer.semantic, q_semantic) + _expand(quantizer.acoustic, q_acoustic)
    codes = torch.cat([codes_semantic, codes_acoustic], dim=1)
    return Quantized(out, codes, q_semantic, loss_semantic + loss_acoustic)


def unquantized(quantizer: SplitQuantizer, latents: Tensor) -> Tensor:
    """What the decoder reads before there are codebooks: both projections, nothing rounded."""
    return _expand(quantizer.semantic, quantizer.semantic.project(latents)) + _expand(
        quantizer.acoustic, quantizer.acoustic.project(latents)
    )


def _expand(part: ResidualQuantizer, x: Tensor) -> Tensor:
    return x if part.output_proj is None else part.output_proj(x)


def _residual(
    part: ResidualQuantizer, x: Tensor, kept: Tensor | None, update: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """One residual quantizer: straight-through output, codes, commitment."""
    residual = x.detach()
    total = torch.zeros_like(residual)
    codes, commitment = [], x.new_zeros(())
    for book in range(part.num_codebooks):
        table = part.codebooks[book]
        code = torch.argmax(F.linear(residual, table, -part.half_norms[book]), dim=-1)
        vector = F.embedding(code, table)
        if update:
            _move(part, book, code, residual)
        used = 1.0 if kept is None else (kept > book).to(x.dtype)[:, None, None]
        commitment = commitment + (((x - total) - vector).square() * used).mean()
        total = total + vector * used
        residual = residual - vector
        codes.append(code)
    if update:
        part.refresh()
    straight = x + (total - x).detach()
    return straight, torch.stack(codes, dim=1), commitment / part.num_codebooks


@torch.no_grad()
def _move(part: ResidualQuantizer, book: int, code: Tensor, residual: Tensor) -> None:
    """Moving averages of how often each code was used, and of what for; restart of dead ones."""
    flat, rows = residual.reshape(-1, residual.shape[-1]), code.reshape(-1)
    counts = torch.bincount(rows, minlength=part.codebook_size).to(flat.dtype)
    sums = torch.zeros_like(part.embed_sum[book]).index_add_(0, rows, flat)
    part.cluster_usage[book].lerp_(counts, 1 - _DECAY)
    part.embed_sum[book].lerp_(sums, 1 - _DECAY)
    usage = part.cluster_usage[book]
    even = len(rows) / part.codebook_size
    dead = (usage < _DEAD_SHARE * even).nonzero()[:, 0]
    if len(dead):
        pick = torch.randint(len(flat), (len(dead),), device=flat.device)
        usage[dead] = even
        part.embed_sum[book, dead] = flat[pick] * even


@torch.no_grad()
def start_codebooks(quantizer: SplitQuantizer, latents: Tensor) -> None:
    """Set all codebooks by k-means on `latents` `[count, hidden]`, book after book."""
    for part in (quantizer.semantic, quantizer.acoustic):
        residual = part.project(latents)
        even = 1.0
        for book in range(part.num_codebooks):
            table = _kmeans(residual, part.codebook_size)
            part.embed_sum[book] = table * even
            part.cluster_usage[book] = even
            code = _nearest(residual, table)
            residual = residual - table[code]
        part.refresh()


def reserve_end_code(quantizer: SplitQuantizer) -> None:
    """Put code 0 of codebook 0 out of reach, for good: call after every update."""
    part = quantizer.semantic
    part.embed_sum[0, 0] = _FAR
    part.cluster_usage[0, 0] = 1.0
    part.refresh()


def _nearest(x: Tensor, table: Tensor) -> Tensor:
    return torch.argmax(F.linear(x, table, -table.square().sum(-1) / 2), dim=-1)


def _kmeans(x: Tensor, size: int) -> Tensor:
    """`size` centres of `x` `[count, dim]`."""
    table = x[torch.randperm(len(x), device=x.device)[:size]].clone()
    if len(table) < size:
        raise ValueError(f"k-means has {len(x)} vectors; allowed: at least {size}")
    for _ in range(_KMEANS_STEPS):
        code = _nearest(x, table)
        counts = torch.bincount(code, minlength=size)
        sums = torch.zeros_like(table).index_add_(0, code, x)
        table = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], table)
        empty = (counts == 0).nonzero()[:, 0]
        table[empty] = x[torch.randint(len(x), (len(empty),), device=x.device)]
    return table
