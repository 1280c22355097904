"""The parts of `benchmarks.gpu`: what is checked, and what is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks import floors, machine
from benchmarks.model import Loop
from services.generator.engine.protocol import Model
from services.generator.graphs.graphed_csm import GraphedCsm
from services.generator.model import weights
from services.generator.model.csm import Csm
from services.generator.model.noise import CountedNoise
from services.generator.model.sampling import GREEDY
from services.tokenizer.codec import weights as codec_weights
from services.tokenizer.codec.config import MimiConfig

FRAME_MS = 80
_COPIED_BYTES = 1 << 30
_COPIES = 10
WAYS = ("eager", "one_shape", "buckets", "compiled")


@dataclass
class Plan:
    """What is measured."""

    device: str
    shape: str
    batches: tuple[int, ...]
    positions: tuple[int, ...]
    frames: int
    seconds: float
    codec_streams: tuple[int, ...]
    ways: tuple[str, ...] = WAYS
    began: float = field(default_factory=time.monotonic)

    @property
    def dtype(self) -> torch.dtype:
        """bf16 on CUDA, as the server loads a model there."""
        return torch.bfloat16 if self.device == "cuda" else torch.float32

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() - self.began > self.seconds

    def wait(self) -> None:
        """Wait for the device."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def bandwidth(plan: Plan) -> dict[str, float]:
    """Bytes a second that the device's memory gives: a large copy, each byte read and written."""
    size = _COPIED_BYTES if plan.device == "cuda" else _COPIED_BYTES // 16
    source = torch.zeros(size, dtype=torch.uint8, device=plan.device)
    target = torch.empty_like(source)
    target.copy_(source)
    plan.wait()
    began = time.perf_counter()
    for _ in range(_COPIES):
        target.copy_(source)
    plan.wait()
    seconds = (time.perf_counter() - began) / _COPIES
    return {"copy_gb_per_s": round(2 * size / seconds / 1e9, 1)}


@contextmanager
def exact_products() -> Iterator[None]:
    """fp32 products in fp32, not in the shorter formats of tensor cores."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@torch.inference_mode()
def compared(ours: Loop, theirs: Loop, frames: int) -> dict[str, float]:
    """The largest difference of an active slot's state, and the share of equal frames.

    Both are fed the frames of `ours`, so that one other code does not make all the others others.
    """
    equal, furthest, active = 0, 0.0, ours.active
    for _ in range(frames):
        at = torch.full((ours.batch,), ours.positions)
        states = [
            loop.model.backbone_step(loop.codes, at, active, loop.cache)[active].float().cpu()
            for loop in (ours, theirs)
        ]
        furthest = max(furthest, float((states[0] - states[1]).abs().max()))
        said, told = ours.step(), theirs.step()
        equal += int((said == told).all(dim=1)[active].sum())
        theirs.codes = said.to(theirs.model.device)
    return {
        "state_difference_max": furthest,
        "state_size": float(states[0].abs().mean()),
        "equal_frames": round(equal / (frames * int(active.sum())), 4),
    }


@torch.inference_mode()
def same_as_cpu(plan: Plan, voice: Path) -> dict[str, Any]:
    """The shipped voice in fp32 and greedy, on both."""
    with exact_products():
        there = Loop(GraphedCsm(weights.load(voice, device=plan.device, dtype=torch.float32)), 3)
        here = Loop(weights.load(voice, dtype=torch.float32), 3)
        for loop in (here, there):
            for slot in range(loop.batch):
                loop.sampling.set(slot, GREEDY)
            loop.prefill(40)
        return {"voice": voice.name} | compared(here, there, 4 * plan.frames)


@torch.inference_mode()
def same_as_eager(plan: Plan, csm: Csm) -> dict[str, Any]:
    """Graphs against single kernels in the served dtype, some slots idle; and noise on both sides.

    Shapes differ, so the last bits may.
    """
    slots = 8
    eager, graphed = Loop(csm, slots), Loop(GraphedCsm(csm, buckets=True), slots)
    for loop in (eager, graphed):
        loop.prefill(40)
        loop.active = torch.arange(slots) < 6
        loop.active[2] = False
    there, here = (CountedNoise(2, 4, 1000, device=where) for where in (plan.device, "cpu"))
    both = torch.ones(2, dtype=torch.bool)
    apart = float((there.fill(both).cpu() - here.fill(both)).abs().max())
    return compared(eager, graphed, 4 * plan.frames) | {"noise_difference_max": apart}


@torch.inference_mode()
def frames(plan: Plan, way: str, csm: Csm, floor: floors.Floor, gb_per_s: float) -> dict[str, Any]:
    """Milliseconds a frame by batch and positions, host and all, beside its floor.

    The floor is of live positions, at the speed of a copy; eager and one shape read all positions.
    """
    began = time.monotonic()
    model: Model = csm
    if way != "eager":
        model = GraphedCsm(csm, buckets=way != "one_shape", compiled=way == "compiled")
    loop = Loop(model, 1 if way == "eager" else max(plan.batches))
    plan.wait()
    result: dict[str, Any] = {"ready_s": round(time.monotonic() - began, 1), "frames": []}
    element = csm.text_embeddings.element_size()
    for batch in plan.batches:
        if way == "eager":
            # It computes every slot there is, active or not.
            del loop
            loop = Loop(csm, batch)
        for positions in plan.positions:
            if plan.is_late:
                result["left_out"] = f"from batch {batch} on: out of time"
                return result
            read = floor.bytes_read(element, element, batch, positions)
            try:
                loop.active = torch.arange(loop.batch) < batch
                loop.positions = positions
                times = machine.summary(loop.times_ms(plan.frames, warm_up=3))
            except RuntimeError as error:
                result["failed"] = f"batch {batch}: {error}"
                return result
            result["frames"].append(
                {
                    "batch": batch,
                    "positions": positions,
                    "frame_ms": times,
                    "floor_ms": round(read / gb_per_s / 1e6, 2),
                    "frames_per_s": round(1000 * batch / times["p50"], 1),
                    "real_time": times["p95"] <= FRAME_MS,
                }
            )
    if isinstance(model, GraphedCsm):
        result["graphs"] = model.recorded
    return result


@torch.inference_mode()
def company(plan: Plan, csm: Csm, *, buckets: bool) -> dict[str, Any]:
    """The codes of one seed alone and among others: the share of equal frames by batch.

    Each run is fed what the first drew, so that every frame is a trial of its own.
    """
    count = 10 * plan.frames
    alone: list[torch.Tensor] = []
    shares: dict[str, float] = {}
    loop = Loop(GraphedCsm(csm, buckets=buckets), max(plan.batches))
    for batch in plan.batches:
        if plan.is_late:
            break
        loop.active = torch.arange(loop.batch) < batch
        loop.codes = torch.zeros_like(loop.codes)
        loop.prefill(30)
        loop.noise.seed(0, 7)
        equal = 0
        for index in range(count):
            codes = loop.step()[0]
            if batch == plan.batches[0]:
                alone.append(codes)
            equal += int(torch.equal(codes, alone[index]))
            loop.codes[0] = alone[index].to(plan.device)
        shares[str(batch)] = round(equal / count, 4)
    return {"frames": count, "alone": plan.batches[0], "equal_share_by_batch": shares}


@torch.inference_mode()
def codec(plan: Plan) -> list[dict[str, Any]]:
    """Milliseconds of a streamed frame of Mimi at full size, by torch."""
    mimi = codec_weights.create(MimiConfig.mimi(), seed=0).to(plan.device)
    config, found = mimi.config, []
    for streams in plan.codec_streams:
        codes = torch.randint(config.codebook_size, (streams, config.num_codebooks, 1))
        sound = torch.randn(streams, 1, config.frame_samples) * 0.1
        part, audio = codes.to(plan.device), sound.to(plan.device)
        decoder, encoder = mimi.decoder_state(streams), mimi.encoder_state(streams)
        works: dict[str, Callable[[], object]] = {
            "decode": lambda d=decoder, p=part: mimi.decode_step(p, d).cpu(),  # type: ignore[misc]
            "encode": lambda e=encoder, a=audio: mimi.encode_step(a, e).cpu(),  # type: ignore[misc]
        }
        times = machine.alternate(works, rounds=plan.frames, warmup=3)
        found.append(
            {"streams": streams}
            | {f"{name}_frame_ms": machine.summary(each) for name, each in times.items()}
        )
    return found
