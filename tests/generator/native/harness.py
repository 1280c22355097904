"""Models, prompts and a frame loop to hold the native library against `Csm`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from services.generator.engine.protocol import Model
from services.generator.model.attention import KVBuffers
from services.generator.model.config import CsmConfig, LlamaConfig
from services.generator.model.noise import Noise
from services.generator.model.sampler import SamplingParams, SamplingRows
from services.generator.native.native_csm import NativeCsm
from tests.generator.model import oracle

GROUPED = CsmConfig(
    backbone=LlamaConfig(
        layers=2, heads=10, kv_heads=2, width=64, head_dim=20, ffn_width=130, max_positions=160
    ),
    depth=LlamaConfig(
        layers=1, heads=8, kv_heads=2, width=33, head_dim=32, ffn_width=17, max_positions=4
    ),
    text_vocab_size=50,
    audio_vocab_size=16,
    num_codebooks=3,
    codebook_size=13,
)
"""Groups of four and five queries, heads of more than one vector, a part of one behind them."""

PAIRED = CsmConfig(
    backbone=LlamaConfig(
        layers=2, heads=10, kv_heads=2, width=48, head_dim=96, ffn_width=70, max_positions=160
    ),
    depth=GROUPED.depth,
    text_vocab_size=50,
    audio_vocab_size=16,
    num_codebooks=3,
    codebook_size=13,
)
"""Heads that fit products of bf16 pairs, in a bf16 cache: by twos of 32 columns, and one behind."""

CONFIGS = {**oracle.ODD_CONFIGS, "grouped": GROUPED, "paired": PAIRED}

GREEDY = SamplingParams(0.0, 0.0, 0, 1.0)
KINDS = (
    SamplingParams(0.9, 0.9, 5, 1.0),
    GREEDY,
    SamplingParams(0.5, 1.3, 7, 0.8),
    SamplingParams(1.0, 0.4, 0, 0.3),
    SamplingParams(2.0, 0.0, 30, 1.0),
    SamplingParams(1.0, 1.0, 0, 1.0),
    SamplingParams(0.7, 0.7, 1000, 0.95),
)
"""Every way of drawing, in company of the others."""


def prompt(config: CsmConfig, seed: int) -> Tensor:
    """Two segments with audio and a text: int64 [37, num_codebooks + 1]."""
    return torch.tensor(oracle.random_frames(config, np.random.default_rng(seed)))


@dataclass
class Frames:
    """What a run gave: states [frames, slots, width], codes [frames, slots, num_codebooks]."""

    hidden: list[Tensor] = field(default_factory=list)
    codes: list[Tensor] = field(default_factory=list)


class Loop:
    """The engine's frame loop over some slots, each with a prompt and parameters of its own."""

    def __init__(self, model: Model, slots: int, max_positions: int = 80) -> None:
        config = model.config
        self.model = model
        self.cache: KVBuffers = model.allocate_cache(slots, max_positions)
        self.sampling = SamplingRows(slots)
        self.noise = Noise(slots, config.num_codebooks, config.audio_vocab_size)
        self.hidden = torch.zeros(slots, config.backbone.width, dtype=model.dtype)
        self.positions = torch.zeros(slots, dtype=torch.int64)
        self.active = torch.zeros(slots, dtype=torch.bool)

    @torch.inference_mode()
    def begin(self, slot: int, seed: int, params: SamplingParams, frames: Tensor) -> None:
        self.sampling.set(slot, params)
        self.noise.seed(slot, seed)
        self.hidden[slot] = self.model.prefill(frames, 0, slot, self.cache)
        self.positions[slot] = len(frames)
        self.active[slot] = True

    @torch.inference_mode()
    def run(self, frames: int, forced: list[Tensor] | None = None) -> Frames:
        """Draw `frames` frames; with `forced`, feed back those instead of the ones drawn."""
        result = Frames()
        for index in range(frames):
            noise = self.noise.fill(self.active)
            codes = self.model.sample_frame(self.hidden, self.sampling, noise, self.active)
            result.hidden.append(self.hidden.float().clone())
            result.codes.append(codes.clone())
            fed = codes if forced is None else forced[index]
            self.hidden = self.model.backbone_step(fed, self.positions, self.active, self.cache)
            self.positions += self.active
        return result


def cut_prefills(
    model: NativeCsm, frames: Tensor, cuts: Iterable[int], positions: int, before: float = 0.0
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The last state, the keys and the values of a prefill in pieces of each of the lengths; the
    cache has `positions`, where `before` stood."""
    results = []
    for cut in cuts:
        cache = model.allocate_cache(1, positions)
        cache.keys.fill_(before)
        cache.values.fill_(before)
        for start in range(0, len(frames), cut):
            hidden = model.prefill(frames[start : start + cut], start, 0, cache)
        results.append((hidden, cache.keys, cache.values))
    return results


def assert_all_alike(results: Sequence[Sequence[Tensor]]) -> None:
    """Every result has the bits of the first."""
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            assert torch.equal(got, expected)
