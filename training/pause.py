"""A pause between machines: a checkpoint small enough to be carried, and back.

A full checkpoint holds the weights four times (now, averaged, and two moments of the optimizer) in
fp32. A compact one holds them once in fp16; a stage that goes on from it warms its optimizer up
again, which costs a few hundred steps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from training import checkpoint
from training.arguments import parser

_DROPPED = frozenset({"optimizer", "random", "latents"})
# What stands before the averaged weights' names among all: the codec averages the codec alone, the
# language model all that it trains.
_AVERAGED = {"model": "mimi.", "objective": ""}


def compact(state: dict[str, Any]) -> dict[str, Any]:
    """`state` without the optimizer; of the weights the average alone, as the model, in fp16."""
    kept = {name: value for name, value in state.items() if name not in _DROPPED}
    average = kept.pop("average", {})
    for name in ("model", "objective"):
        if name in kept:
            kept[name] = {key: _half(t) for key, t in kept[name].items()}
            prefix = _AVERAGED[name]
            kept[name] |= {prefix + key: _half(t) for key, t in average.items()}
    return kept


def expand(state: dict[str, Any]) -> dict[str, Any]:
    """The same in fp32, the weights as they are now and averaged, as a stage takes it up."""
    wide = dict(state)
    for name in ("model", "objective"):
        if name in wide:
            wide[name] = {
                key: t.float() if t.is_floating_point() else t for key, t in wide[name].items()
            }
            prefix = _AVERAGED[name]
            wide["average"] = {
                key.removeprefix(prefix): t.clone()
                for key, t in wide[name].items()
                if key.startswith(prefix)
            }
    return wide


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def main() -> None:
    given = parser("pause", __doc__)
    given.add_argument("direction", choices=("save", "restore"))
    given.add_argument("--at", type=Path, default=Path("training/paused"), help="compact files")
    given.add_argument("--stages", nargs="+", default=["codec", "language_model"])
    arguments = given.parse_args()
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
