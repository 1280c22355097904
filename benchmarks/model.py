"""Milliseconds of a frame of the model alone: no server, no codec, random weights."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks import machine
from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.generator.model.noise import Noise
from services.generator.model.sampler import SamplingParams, SamplingRows

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass
class Loop:
    """The frame loop of `batch` slots, as the engine runs it."""

    model: Csm
    batch: int
    positions: int = 0

    def __post_init__(self) -> None:
        self.cache = self.model.allocate_cache(self.batch, self.model.config.backbone.max_positions)
        self.codes = torch.zeros(self.batch, self.model.config.num_codebooks, dtype=torch.int64)
        self.active = torch.ones(self.batch, dtype=torch.bool)
        self.sampling = SamplingRows(self.batch)
        self.noise = Noise(
            self.batch, self.model.config.num_codebooks, self.model.config.audio_vocab_size
        )
        for slot in range(self.batch):
            self.sampling.set(slot, SamplingParams(temperature=0.9, depth_temperature=0.9))
            self.noise.seed(slot, slot)

    @torch.inference_mode()
    def prefill(self, frames: int) -> None:
        """Fills the first `frames` positions of every slot with text frames."""
        width = self.model.config.num_codebooks + 1
        rows = torch.full((frames, width), -1, dtype=torch.int64)
        rows[:, -1] = 1 + torch.arange(frames) % (self.model.config.text_vocab_size - 1)
        for slot in range(self.batch):
            self.model.prefill(rows, 0, slot, self.cache)
        self.positions = frames

    @torch.inference_mode()
    def step(self) -> Tensor:
        """One frame for every slot."""
        at = torch.full((self.batch,), self.positions, dtype=torch.int64)
        hidden = self.model.backbone_step(self.codes, at, self.active, self.cache)
        noise = self.noise.fill(self.active)
        self.codes = self.model.sample_frame(hidden, self.sampling, noise)
        self.positions += 1
        return self.codes


def run(
    *, shape: str = "csm-1b", dtype: str = "bf16", batch: int = 1, frames: int = 20,
    context: int = 100, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Median milliseconds a frame, and frames per second over all slots."""
    config = CsmConfig.named(shape)
    model = weights.create(config, seed=seed, dtype=DTYPES[dtype])
    loop = Loop(model, batch)
    prefill_ms = machine.time_ms(lambda: loop.prefill(context)) / batch
    for _ in range(2):
        loop.step()
    times = [machine.time_ms(loop.step) for _ in range(frames)]
    frame = machine.summary(times)
    return {
        "benchmark": "model",
        "machine": machine.describe(),
        "shape": shape,
        "dtype": dtype,
        "batch": batch,
        "context_frames": context,
        "prefill_ms": round(prefill_ms, 1),
        "frame_ms": frame,
        "frames_per_s": round(1000 * batch / frame["p50"], 1),
        "real_time_factor": round(frame["p50"] / 80, 3),
    }
