"""How cost grows with work, measured and drawn: `make bench`.

Writes `docs/performance.json` and `docs/performance.png`: milliseconds a frame against slots,
against positions in the cache and against listeners through the whole system, with the peers'
points on the same axes (those of `benchmarks.peers`, run before in the same call), and memory a
conversation.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import mmap
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import codec, floors, gateway, machine, peers, serve, turns
from benchmarks.model import Loop
from services.generator.engine.protocol import Model
from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.native.native_csm import NativeCsm, WeightFormat
from services.model_directory import default_model_directory

OUT = Path("docs/performance.json")
BATCHES = (1, 2, 4, 8, 16)
LISTENERS = (1, 2, 4, 8, 12, 16)
CONVERSATIONS = (8, 16)
_CONTEXT = 100
_READ_BYTES = 1 << 30

Told = Callable[[str], None]


@torch.inference_mode()
def read_gb_per_s() -> float:
    """Gigabytes a second that all threads together read at best: a sum over memory no cache holds,
    in huge pages, as the native library asks for too."""
    # Shared memory, which is the default, takes no such advice.
    memory = mmap.mmap(-1, _READ_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    block = torch.frombuffer(memory, dtype=torch.float32).fill_(1.0)
    time.sleep(0.5)
    times = [machine.time_ms(block.sum) for _ in range(15)]
    return round(_READ_BYTES / min(times) / 1e6, 1)


@torch.inference_mode()
def by_batch(model: Model, batches: Sequence[int], frames: int) -> list[dict[str, Any]]:
    """A frame of so many slots, `_CONTEXT` positions behind each."""
    found = []
    for batch in batches:
        loop = Loop(model, batch)
        loop.prefill(_CONTEXT)
        found.append({"batch": batch, "frame_ms": machine.summary(loop.times_ms(frames))})
    return found


@torch.inference_mode()
def by_positions(model: Model, frames: int) -> list[dict[str, Any]]:
    """A frame of one slot behind so many positions; what they hold costs nothing."""
    last = model.config.backbone.max_positions
    loop, found = Loop(model, 1), []
    loop.prefill(8)
    for share in (0.02, 0.125, 0.25, 0.5, 0.75, 0.98):
        at = min(int(share * last), last - frames - 2)
        loop.positions = at
        found.append({"positions": at, "frame_ms": machine.summary(loop.times_ms(frames))})
    return found


def memory(config: CsmConfig, cache_bytes: int) -> dict[str, float]:
    """What a conversation's slot holds, in MiB: keys and values of every position."""
    positions = config.backbone.max_positions
    size = positions * floors.of(config).cache_elements * cache_bytes
    return {"positions": positions, "mib": round(size / 2**20, 2)}


def model_curves(
    shape: str, kinds: Sequence[WeightFormat], batches: Sequence[int], frames: int, told: Told
) -> dict[str, Any]:
    """The curves of one shape with random weights, natively, in several weights."""
    config = CsmConfig.named(shape)
    large = shape != "pico"
    csm = weights.create(config, seed=0, dtype=torch.bfloat16 if large else torch.float32)
    result: dict[str, Any] = {
        "weights_a_frame": floors.of(config).weights,
        "conversation": memory(config, 2 if large else 4),
        "ways": {},
    }
    for kind in kinds:
        told(f"{shape} {kind}")
        native = NativeCsm(csm, kind, threads=torch.get_num_threads() if large else 1)
        result["ways"][kind] = {
            "packed_mib": round(native.nbytes / 2**20, 1),
            "by_batch": by_batch(native, batches, frames),
            "by_positions": by_positions(native, frames),
        }
        del native
        gc.collect()
    return result


def company(told: Told) -> list[dict[str, Any]]:
    """Staggered conversations with the voice that ships, as `turns.company` tells."""
    model = NativeCsm(weights.load(default_model_directory()).float(), "fp32", threads=1)
    found = []
    for conversations in CONVERSATIONS:
        told(f"pico: {conversations} conversations in one batch")
        found.append(turns.company(model, conversations))
    return found


def run(*, small: bool = False, told: Told = lambda what: None) -> dict[str, Any]:
    """Everything; `small` leaves csm-1b and the peers out."""
    result: dict[str, Any] = {"machine": machine.describe(), "read_gb_per_s": read_gb_per_s()}
    if not small:
        result["peers"] = peers.run(told=told)
        for streams in (1, 8):
            told(f"Mimi at full size: {streams} streams")
            result[f"mimi_{streams}"] = codec.run(streams=streams, frames=40)
        result["csm-1b"] = model_curves("csm-1b", ("int8", "bf16"), BATCHES, 6, told)
    result["pico"] = model_curves("pico", ("fp32", "int8"), BATCHES, 40, told)
    result["company"] = company(told)
    told("the gateway")
    result["gateway"] = asyncio.run(gateway.measure(100))
    result["listeners"] = []
    for listeners in LISTENERS:
        told(f"pico: {listeners} listeners through the gateway")
        result["listeners"].append(serve.run(streams=listeners, rounds=3))
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT, help=f"JSON file ({OUT}); PNG beside it")
    parser.add_argument("--small", action="store_true", help="without csm-1b and the peers")
    parser.add_argument("--draw", action="store_true", help="draw what was measured before")
    given = parser.parse_args(arguments)
    from benchmarks import drawing

    if not given.draw:
        with Console(stderr=True).status("measuring") as status:
            result = run(small=given.small, told=status.update)
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    drawing.draw(json.loads(given.out.read_text(encoding="utf-8")), given.out.with_suffix(".png"))
    print(f"{given.out}, {given.out.with_suffix('.png')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
