"""What the engine needs of a model: the four passes, and what they run on."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from services.generator.model.attention import KVBuffers
from services.generator.model.config import CsmConfig
from services.generator.model.sampler import SamplingRows


class Model(Protocol):
    """What the engine needs of a model: `model.csm.Csm`, `native.model.NativeCsm` on CPUs, or
    `graphs.model.GraphedCsm` on CUDA. Masks, positions and prompt rows are on the host, all else on
    `device`."""

    @property
    def config(self) -> CsmConfig:
        """Sizes."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    @property
    def dtype(self) -> torch.dtype:
        """What its hidden states are made of."""

    @property
    def cuts_freely(self) -> bool:
        """Whether a position is the same bit for bit however a prefill is cut, or stepped."""

    def allocate_cache(self, slots: int, max_positions: int) -> KVBuffers:
        """A zeroed cache."""

    def prefill(self, frames: Tensor, start: int, slot: int, cache: KVBuffers) -> Tensor:
        """[T, K + 1] rows of one slot to the last one's hidden state [D]."""

    def backbone_step(
        self, codes: Tensor, positions: Tensor, active: Tensor, cache: KVBuffers
    ) -> Tensor:
        """Frames [slots, K] fed back at positions [slots] to hidden states [slots, D]."""

    def sample_frame(
        self, hidden: Tensor, sampling: SamplingRows, noise: Tensor, active: Tensor
    ) -> Tensor:
        """Hidden states [slots, D] to codes [slots, K]; rows not `active` (bool [slots]) mean
        nothing."""
