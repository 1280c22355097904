"""Milliseconds of a frame natively and by torch, the same random weights, in turn: no server.

python -m benchmarks.native                      pico and csm-1b, 1 and 8 slots, every format
python -m benchmarks.native --shape pico --batch 1 --threads 1 --frames 200
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, get_args

import torch

from benchmarks import floors, machine
from benchmarks.model import Loop
from services.generator.model import weights
from services.generator.model.config import CsmConfig
from services.generator.model.csm import Csm
from services.generator.native.native_csm import NativeCsm, WeightFormat

CONTEXT_FRAMES = 100
TORCH_DTYPES = {"pico": torch.float32}
"""bf16 for the others: what the server loads them in."""


class Runs:
    """One way to run the model: a loop that starts anew where its slots are full."""

    def __init__(self, model: Csm | NativeCsm, batch: int) -> None:
        self._loop = Loop(model, batch)
        self._last = model.config.backbone.max_positions - 1

    def step(self) -> None:
        """One frame for every slot."""
        if not 0 < self._loop.positions < self._last:
            self._loop.prefill(CONTEXT_FRAMES)
        self._loop.step()


def run(shape: str, batches: Sequence[int], formats: Sequence[WeightFormat], *,
        threads: int, frames: int) -> list[dict[str, Any]]:  # fmt: skip
    """One dict a batch size: milliseconds a frame of each way, and its ratio to torch's."""
    config = CsmConfig.named(shape)
    csm = weights.create(config, dtype=TORCH_DTYPES.get(shape, torch.bfloat16))
    models: dict[str, Csm | NativeCsm] = {f"torch {str(csm.dtype).removeprefix('torch.')}": csm}
    for kind in formats:
        models[f"native {kind}"] = NativeCsm(csm, kind, threads=threads)
    results = []
    for batch in batches:
        works: dict[str, Callable[[], object]] = {
            name: Runs(model, batch).step for name, model in models.items()
        }
        times = machine.alternate(works, rounds=frames, warmup=3)
        summaries = {name: machine.summary(values) for name, values in times.items()}
        by_torch = next(iter(summaries.values()))["p50"]
        results.append(
            {
                "benchmark": "native",
                "machine": machine.describe(),
                "shape": shape,
                "batch": batch,
                "threads": threads,
                "context_frames": CONTEXT_FRAMES,
                "weights_read": floors.of(config).weights,
                "ways": {
                    name: {
                        "frame_ms": summary,
                        "frames_per_s": round(1000 * batch / summary["p50"], 1),
                        "faster_than_torch": round(by_torch / summary["p50"], 2),
                    }
                    for name, summary in summaries.items()
                },
            }
        )
    return results


def _print(result: dict[str, Any]) -> None:
    read = result["weights_read"]
    print(
        f"{result['shape']}, {result['batch']} slots, {result['threads']} threads: "
        f"{read / 1e6:.1f} M weights a frame"
    )
    for name, way in result["ways"].items():
        frame = way["frame_ms"]
        line = f"  {name:15} {frame['p50']:8.2f} ms (p95 {frame['p95']:.2f})"
        size = floors.BYTES.get(name.removeprefix("native "))
        if size:
            line += f"  {read * size / frame['p50'] / 1e6:6.1f} GB/s of weights"
        print(f"{line}  {way['frames_per_s']:8.1f} frames/s  {way['faster_than_torch']:.2f} x")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = get_args(WeightFormat)
    parser.add_argument("--shape", nargs="+", default=["pico", "csm-1b"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--weights", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args(arguments)
    torch.set_num_threads(wanted.threads)
    for shape in wanted.shape:
        results = run(
            shape, wanted.batch, wanted.weights, threads=wanted.threads, frames=wanted.frames
        )
        for result in results:
            if wanted.json:
                print(json.dumps(result))
            else:
                _print(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
