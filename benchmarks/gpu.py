"""Everything there is to know of a GPU in one run of a few minutes: `python -m benchmarks.gpu`.

First that CUDA says what the CPU says, and graphs what single kernels say; then how long a frame
takes (kernel by kernel; as graphs, of one shape or by batch size; as graphs of compiled kernels),
how many conversations that carries, whether other slots change a conversation's codes, and what the
codec costs. Parts that fail or that the time does not reach say so, and `--out` is written
after each. `--device cpu` runs the same lines on a small shape, to see that they run.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import floors, gpu_parts, machine
from benchmarks.gpu_parts import WAYS, Plan
from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.model_directory import default_model_directory


def run(plan: Plan, voice: Path, out: Path | None = None) -> dict[str, Any]:
    """All parts; what fails or is out of time says so in its place, and the rest goes on."""
    result: dict[str, Any] = {
        "benchmark": "gpu",
        "machine": machine.describe(),
        "device": plan.device,
        "shape": plan.shape,
        "dtype": str(plan.dtype).removeprefix("torch."),
    }

    def part(name: str, work: Callable[[], Any]) -> None:
        if plan.is_late:
            result[name] = {"left_out": "out of time"}
            return
        began = time.monotonic()
        try:
            result[name] = work()
        except Exception as error:  # a device or a compiler fails in its own ways
            result[name] = {"failed": f"{type(error).__name__}: {error}"}
        gc.collect()
        if out:
            out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)

    part("bandwidth", lambda: gpu_parts.bandwidth(plan))
    part("codec_float32", lambda: gpu_parts.codec(plan))
    config = CsmConfig.named(plan.shape)
    floor = floors.of(config)
    gb_per_s = result["bandwidth"].get("copy_gb_per_s", float("nan"))
    csm = weights.create(config, seed=0, dtype=plan.dtype).to(plan.device)

    def timed(way: str) -> None:
        if way in plan.ways:
            part(way, lambda: gpu_parts.frames(plan, way, csm, floor, gb_per_s))

    # Nothing is recorded before this: a recording that fails may leave the device unusable.
    timed("eager")
    part("same_as_cpu", lambda: gpu_parts.same_as_cpu(plan, voice))
    part("same_as_eager", lambda: gpu_parts.same_as_eager(plan, csm))
    timed("one_shape")
    timed("buckets")
    part("company_one_shape", lambda: gpu_parts.company(plan, csm, buckets=False))
    part("company_buckets", lambda: gpu_parts.company(plan, csm, buckets=True))
    # Last, because it changes the model that all the others share.
    timed("compiled")
    result["seconds"] = round(time.monotonic() - plan.began, 1)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print JSON; progress goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--shape", default="csm-1b")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64, 256, 512])
    parser.add_argument("--positions", type=int, nargs="+", default=[100, 900])
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--codec-streams", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seconds", type=float, default=420.0, help="nothing is begun after them")
    parser.add_argument("--out", type=Path, help="JSON file, written after every part")
    parser.add_argument("--voice", type=Path, default=default_model_directory())
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.exit(
            1, "device: cuda is not available on this machine; --device cpu runs it small\n"
        )
    plan = Plan(
        given.device,
        given.shape,
        tuple(sorted(given.batches)),
        tuple(given.positions),
        given.frames,
        given.seconds,
        tuple(given.codec_streams),
        tuple(given.ways),
    )
    print(json.dumps(run(plan, given.voice, given.out), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
