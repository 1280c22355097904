"""A pause between machines: a checkpoint small enough to be carried, and back.

A full checkpoint holds the weights four times (now, averaged, and two moments of the optimizer) in
fp32. A compact one holds them once in fp16; a stage that goes on from it warms its optimizer up
again, which costs a few hundred steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from training import checkpoint

_DROPPED = frozenset({"optimizer", "random", "latents"})


def compact(state: dict[str, Any]) -> dict[str, Any]:
    """`state` without the optimizer; of the weights the average alone, as the model, in fp16."""
    kept = {name: value for name, value in state.items() if name not in _DROPPED}
    average = kept.pop("average")
    for name in ("model", "objective"):
        if name in kept:
            kept[name] = {key: _half(t) for key, t in kept[name].items()}
            # The codec's average is of the codec alone, the language model's of all it trains.
            prefix = "mimi." if name == "model" else ""
            kept[name] |= {prefix + key: _half(t) for key, t in average.items()}
    return kept


def expand(state: dict[str, Any]) -> dict[str, Any]:
    """The same in fp32, as a stage's `restore` takes it."""
    return {
        name: {k: t.float() if t.is_floating_point() else t for k, t in value.items()}
        if name in ("model", "objective")
        else value
        for name, value in state.items()
    }


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.pause", description=__doc__)
    parser.add_argument("direction", choices=("save", "restore"))
    parser.add_argument(
        "--work", type=Path, default=Path("build/pico"), help="where all stages work"
    )
    parser.add_argument("--at", type=Path, default=Path("training/paused"), help="compact files")
    parser.add_argument("--stages", nargs="+", default=["codec", "language_model"])
    arguments = parser.parse_args()
    for stage in arguments.stages:
        full = checkpoint.path_of(arguments.work, stage)
        small = arguments.at / f"{stage}.pt"
        source, target, change = (
            (full, small, compact) if arguments.direction == "save" else (small, full, expand)
        )
        state = checkpoint.load(source)
        if state is None:
            print(f"{source}: no such file, left out")
            continue
        checkpoint.save(target, change(state))
        print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
