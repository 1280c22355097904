"""A cut of a model, of random weights, whose steps tell how fast each way of running it is here.

The whole may take gigabytes; what decides between two ways is in its first layers: the widths of
the products, the rows, the dtype. Nothing of the model itself is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from services.generator.engine.protocol import Model
from services.generator.model.config import CsmConfig, LlamaConfig
from services.generator.model.csm import Csm
from services.generator.model.noise import noise_for
from services.generator.model.sampler import SamplingParams, SamplingRows
from services.generator.native.native_csm import NativeCsm, WeightFormat
from services.native.choice import Works
from services.native.levels import Level
from services.native.timing import Way

STACK_PARAMETERS = 32_000_000
"""Layers of a stack up to so many; one at least."""
MAX_LAYERS = 4
MAX_CODEBOOKS = 4
MAX_TEXT_IDS = 64
POSITIONS = 128
"""Of the cache; steps are at the last one, behind all others."""
MAX_ROWS = 16
"""Slots beyond these change no ratio."""
_PERIOD = 65_537
"""Random numbers that fill the weights over and over; prime, so that no two rows are alike."""


@dataclass(frozen=True)
class ModelTrial:
    """Makes steps to be timed, of a model of that config, dtype and format of native weights."""

    config: CsmConfig
    dtype: torch.dtype
    weights: WeightFormat
    threads: int
    slots: int

    @property
    def subject(self) -> dict[str, object]:
        """What times depend on beside the processor and the libraries."""
        return {
            "model": asdict(self._cut),
            "dtype": str(self.dtype),
            "weights": self.weights,
            "threads": self.threads,
            "rows": self._rows,
            "torch": torch.__version__,
        }

    def works(self, level: Level | None) -> Works:
        """Return a step of one row and one of all slots, at a level or (None) by torch."""
        model: Model = self._csm
        threads = self.threads
        if level is not None:
            model = NativeCsm(self._csm, self.weights, threads=threads, level=level)
            # As in the service: torch's own would spin beside those of the library.
            threads = 1
        prepare = partial(torch.set_num_threads, threads)
        return {
            "1 row" if rows == 1 else f"{rows} rows": Way(_step(model, rows), prepare)
            for rows in self._rows
        }

    @property
    def _rows(self) -> list[int]:
        return sorted({1, min(self.slots, MAX_ROWS)})

    @cached_property
    def _cut(self) -> CsmConfig:
        config = self.config
        return replace(
            config,
            backbone=_cut_stack(config.backbone, POSITIONS),
            depth=_cut_stack(config.depth, config.depth.max_positions),
            text_vocab_size=min(config.text_vocab_size, MAX_TEXT_IDS),
            num_codebooks=min(config.num_codebooks, MAX_CODEBOOKS),
        )

    @cached_property
    def _csm(self) -> Csm:
        csm = Csm(self._cut, dtype=self.dtype).eval().requires_grad_(False)
        numbers = torch.randn(_PERIOD, generator=torch.Generator().manual_seed(0))
        numbers = (0.02 * numbers).to(self.dtype)
        for parameter in csm.parameters():
            if parameter.dim() < 2:
                parameter.fill_(1.0)
                continue
            flat = parameter.view(-1)
            whole = len(flat) // _PERIOD * _PERIOD
            flat[:whole].view(-1, _PERIOD).copy_(numbers)
            flat[whole:].copy_(numbers[: len(flat) - whole])
        return csm


def _cut_stack(stack: LlamaConfig, max_positions: int) -> LlamaConfig:
    attention = 2 * (stack.heads + stack.kv_heads) * stack.head_dim * stack.width
    layer = attention + 3 * stack.ffn_width * stack.width
    layers = max(1, min(stack.layers, MAX_LAYERS, STACK_PARAMETERS // layer))
    return replace(stack, layers=layers, max_positions=min(max_positions, stack.max_positions))


def _step(model: Model, rows: int) -> Callable[[], Tensor]:
    """A frame of so many slots, as the engine makes one; always at the same position."""
    config = model.config
    last = config.backbone.max_positions - 1
    cache = model.allocate_cache(rows, config.backbone.max_positions)
    positions = torch.full((rows,), last, dtype=torch.int64)
    active = torch.ones(rows, dtype=torch.bool)
    codes = torch.zeros(rows, config.num_codebooks, dtype=torch.int64)
    sampling = SamplingRows(rows)
    noise = noise_for(rows, config.num_codebooks, config.audio_vocab_size, device="cpu")
    for slot in range(rows):
        sampling.set(slot, SamplingParams(0.9, 0.9, 50, 1.0))
        noise.seed(slot, slot)

    @torch.inference_mode()
    def step() -> Tensor:
        hidden = model.backbone_step(codes, positions, active, cache)
        return model.sample_frame(hidden, sampling, noise.fill(active), active)

    return step
