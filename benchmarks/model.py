"""Milliseconds of a frame of the model alone: no server, no codec, random weights."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks import machine
from services.generator.engine.protocol import Model
from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.model.noise import noise_for
from services.generator.model.sampler import SamplingParams, SamplingRows
from services.generator.native.native_csm import NativeCsm

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass
class Loop:
    """The frame loop of `batch` slots, as the engine runs it."""

    model: Model
    batch: int
    positions: int = 0

    def __post_init__(self) -> None:
        config, device = self.model.config, self.model.device
        books = config.num_codebooks
        self.cache = self.model.allocate_cache(self.batch, config.backbone.max_positions)
        self.codes = torch.zeros(self.batch, books, dtype=torch.int64, device=device)
        self.active = torch.ones(self.batch, dtype=torch.bool)
        self.sampling = SamplingRows(self.batch, device=device)
        self.noise = noise_for(self.batch, books, config.audio_vocab_size, device=device)
        for slot in range(self.batch):
            self.sampling.set(slot, SamplingParams(temperature=0.9, depth_temperature=0.9))
            self.noise.seed(slot, slot)

    @torch.inference_mode()
    def prefill(self, frames: int) -> None:
        """Fills the first `frames` positions of every active slot with text frames."""
        width = self.model.config.num_codebooks + 1
        rows = torch.full((frames, width), -1, dtype=torch.int64)
        rows[:, -1] = 1 + torch.arange(frames) % (self.model.config.text_vocab_size - 1)
        for slot in self.active.nonzero().flatten().tolist():
            self.model.prefill(rows, 0, slot, self.cache)
        self.positions = frames

    @torch.inference_mode()
    def step(self) -> Tensor:
        """One frame for every slot; returns its codes on the host, as the engine needs them."""
        at = torch.full((self.batch,), self.positions, dtype=torch.int64)
        hidden = self.model.backbone_step(self.codes, at, self.active, self.cache)
        noise = self.noise.fill(self.active)
        self.codes = self.model.sample_frame(hidden, self.sampling, noise, self.active).clone()
        self.positions += 1
        return self.codes.cpu()

    def times_ms(self, frames: int, warm_up: int = 1) -> list[float]:
        """Milliseconds of so many steps, after some that do not count.

        What runs natively has torch on one thread, as in the service: torch's others spin for a
        while behind each of its operations.
        """
        native = isinstance(self.model, NativeCsm)
        with machine.torch_threads(1 if native else torch.get_num_threads()):
            for _ in range(warm_up):
                self.step()
            return [machine.time_ms(self.step) for _ in range(frames)]


def run(
    *, shape: str = "csm-1b", dtype: str = "bf16", batch: int = 1, frames: int = 20,
    context: int = 100, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Median milliseconds a frame, and frames per second over all slots."""
    config = CsmConfig.named(shape)
    model = weights.create(config, seed=seed, dtype=DTYPES[dtype])
    loop = Loop(model, batch)
    prefill_ms = machine.time_ms(lambda: loop.prefill(context)) / batch
    frame = machine.summary(loop.times_ms(frames, warm_up=2))
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
