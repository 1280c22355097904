"""Attention over more than one block of positions: what `Csm` attends to, in one order of sums."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.generator.native.native_csm import NativeCsm
from services.native import levels
from tests.generator.native.harness import GROUPED, PAIRED, prompt

LEVELS = pytest.mark.parametrize("level", levels.available(), ids=lambda level: level.name)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
MAX_POSITIONS = 160
LENGTHS = (1, 15, 16, 17, 63, 64, 65, 80, 127, 128, 129, 144, 150)
"""Around a vector of positions and a block of them (`block_positions` in blocks.hpp)."""


def frames_of(config: CsmConfig, count: int) -> Tensor:
    return torch.cat([prompt(config, seed) for seed in range(5)])[:count]


def prefilled(model: Csm | NativeCsm, frames: Tensor, *cuts: int) -> Tensor:
    """The last state, of a prefill in pieces that end at `cuts` and at the last frame."""
    cache = model.allocate_cache(1, MAX_POSITIONS)
    start, last = 0, torch.empty(0)
    with torch.inference_mode():
        for end in (*cuts, len(frames)):
            last = model.prefill(frames[start:end], start, 0, cache)
            start = end
    return last.float()


@LEVELS
@pytest.mark.parametrize("config", [GROUPED, PAIRED], ids=["grouped", "paired"])
def test_a_past_of_every_length_is_that_of_csm(config: CsmConfig, level: levels.Level) -> None:
    theirs = weights.create(config, seed=21)
    ours = NativeCsm(theirs, "fp32", threads=1, level=level)
    for length in LENGTHS:
        frames = frames_of(config, length)
        got, expected = prefilled(ours, frames), prefilled(theirs, frames)
        assert (got - expected).abs().max().item() < 2e-5, length


@LEVELS
def test_scores_that_rise_from_block_to_block(level: levels.Level) -> None:
    # Queries and keys so long that a handful of positions has all the weight: what was summed
    # before the largest came must shrink to nothing, what comes behind it must not count.
    theirs = weights.create(GROUPED, seed=22)
    rows = (GROUPED.backbone.heads + GROUPED.backbone.kv_heads) * GROUPED.backbone.head_dim
    for layer in theirs.backbone.layers:
        layer.qkv.weight.data[:rows] *= 12
    ours = NativeCsm(theirs, "fp32", threads=1, level=level)
    exact = Csm(GROUPED, dtype=torch.float64)
    exact.load_state_dict(theirs.state_dict())
    frames = frames_of(GROUPED, 150)
    got, expected = prefilled(ours, frames), prefilled(exact, frames)
    flat = prefilled(weights.create(GROUPED, seed=22), frames)
    assert (got - expected).abs().max().item() < 1e-3
    assert (flat - expected).abs().max().item() > 0.1


@LEVELS
@DTYPES
@pytest.mark.parametrize("cuts", [(64,), (65, 128), (1, 63, 100, 149), tuple(range(1, 150))])
def test_the_same_bits_however_blocks_are_come_by(
    cuts: tuple[int, ...], dtype: torch.dtype, level: levels.Level
) -> None:
    config = replace(PAIRED, backbone=replace(PAIRED.backbone, head_dim=64))
    theirs = weights.create(config, seed=23, dtype=dtype)
    frames = frames_of(config, 150)
    whole = prefilled(NativeCsm(theirs, "bf16", threads=1, level=level), frames)
    for threads in (1, 3):
        model = NativeCsm(theirs, "bf16", threads=threads, level=level)
        assert torch.equal(prefilled(model, frames, *cuts), whole)
