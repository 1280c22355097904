"""A CSM stand-in whose arithmetic is exact: whatever the chunking, slot or company, equal prompts
give equal frames, and a position that is missing, stale or another's changes them all.

It can be held before a pass and made to fail in one, so that a test can meet a turn anywhere.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from services.generator.engine.turn import MASKED
from services.generator.model.attention import KVBuffers, KVCacheTensors
from services.generator.model.config import CsmConfig, LlamaConfig
from services.generator.model.sampler import SamplingRows

PRIME = 2_147_483_629
NEVER = 1 << 30


def fake_config(num_codebooks: int = 4, max_positions: int = 256) -> CsmConfig:
    """A config of the fake's sizes; 61 codes a codebook, 300 text ids."""
    stack: dict[str, Any] = {
        "layers": 1,
        "heads": 1,
        "kv_heads": 1,
        "width": 2,
        "ffn_width": 2,
        "head_dim": 2,
    }
    return CsmConfig(
        backbone=LlamaConfig(max_positions=max_positions, **stack),
        depth=LlamaConfig(max_positions=num_codebooks + 1, **stack),
        text_vocab_size=300,
        audio_vocab_size=64,
        num_codebooks=num_codebooks,
        codebook_size=61,
    )


@dataclass
class Gate:
    """Holds the engine before a pass: closed by `close`, and `reached` once it waits there."""

    def __post_init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.reached = threading.Event()

    def close(self) -> None:
        self.reached.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def enter(self) -> None:
        if not self._open.is_set():
            self.reached.set()
            if not self._open.wait(timeout=20):
                raise TimeoutError("a test left a gate closed")


class FakeModel:
    """See the head of the file. `eos_after` frames behind the last text row, a turn ends."""

    def __init__(self, config: CsmConfig | None = None, *, eos_after: int = NEVER) -> None:
        self.config = config or fake_config()
        self.device = torch.device("cpu")
        self.dtype = torch.float64
        self.cuts_freely = False
        self.eos_after = eos_after
        self.gates = {name: Gate() for name in ("prefill", "backbone", "sample")}
        self.failures: dict[str, list[BaseException]] = {name: [] for name in self.gates}
        self.prefilled: list[tuple[int, int, int]] = []
        self.steps = 0

    def fail_next(self, name: str, times: int = 1) -> None:
        """The next passes of that name raise."""
        self.failures[name] += [RuntimeError(f"{name} broke") for _ in range(times)]

    def _enter(self, name: str) -> None:
        self.gates[name].enter()
        if self.failures[name]:
            raise self.failures[name].pop()

    def allocate_cache(self, slots: int, max_positions: int) -> KVCacheTensors:
        shape = (1, slots, 1, max_positions, 2)
        return KVCacheTensors.zeros(shape, device="cpu", dtype=torch.float64)

    def _write(self, rows: Tensor, start: int, slot: int, cache: KVBuffers) -> None:
        weights = torch.arange(3, 3 + rows.shape[1]) * 7919
        cache.keys[0, slot, 0, start : start + len(rows), 0] = (
            ((rows + 2) * weights).sum(1) % PRIME
        ).double()
        is_text = (rows[:, -1] != MASKED).double()
        cache.values[0, slot, 0, start : start + len(rows), 0] = is_text

    def _hidden(self, slot: int, end: int, cache: KVBuffers) -> Tensor:
        keys = cache.keys[0, slot, 0, :end, 0].long()
        positions = torch.arange(7, 7 + end)
        digest = int((keys * positions % PRIME).sum()) % PRIME
        text = cache.values[0, slot, 0, :end, 0].nonzero()
        spoken = end - 1 - int(text[-1]) if len(text) else end
        return torch.tensor([digest, spoken], dtype=torch.float64)

    def prefill(self, frames: Tensor, start: int, slot: int, cache: KVBuffers) -> Tensor:
        self._enter("prefill")
        self.prefilled.append((slot, start, len(frames)))
        self._write(frames, start, slot, cache)
        return self._hidden(slot, start + len(frames), cache)

    def backbone_step(
        self, codes: Tensor, positions: Tensor, active: Tensor, cache: KVBuffers
    ) -> Tensor:
        self._enter("backbone")
        self.steps += 1
        hidden = torch.full((len(codes), 2), -1.0, dtype=torch.float64)
        for slot in active.nonzero().flatten().tolist():
            row = torch.cat([codes[slot], torch.tensor([MASKED])])[None]
            position = int(positions[slot])
            self._write(row, position, slot, cache)
            hidden[slot] = self._hidden(slot, position + 1, cache)
        return hidden

    def sample_frame(
        self,
        hidden: Tensor,
        sampling: SamplingRows,
        noise: Tensor,
        active: Tensor | None = None,
    ) -> Tensor:
        self._enter("sample")
        codes = torch.zeros(len(hidden), self.config.num_codebooks, dtype=torch.int64)
        for slot in range(len(hidden)):
            digest, spoken = (int(value) for value in hidden[slot])
            if spoken >= self.eos_after:
                continue
            if float(sampling.temperature[slot]) > 0:
                digest += int(float(noise[slot, 0, 0]) * 2**20)
            for book in range(self.config.num_codebooks):
                codes[slot, book] = (digest // (book + 1) + book) % 60 + 1
        return codes
