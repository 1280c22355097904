"""A pause between machines: a checkpoint small enough to be carried, and back.

A full checkpoint holds the weights four times (now, averaged, and two moments of the optimizer) in
fp32. A compact one holds them once: the codec's in fp16, as its codes have to stay what they are,
all others' matrices in int8 with a scale for each row. Of a polish only what it trains is there. A
stage that goes on from it warms its optimizer up again, which costs a few hundred steps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training import checkpoint
from training.arguments import parser
from training.codec import polisher, train
from training.codec.decoder import FROZEN
from training.language_model import run

_STAGES = (train.STAGE, run.STAGE, polisher.STAGE)
_DROPPED = frozenset({"optimizer", "adversary_optimizer", "random", "latents"})
_WEIGHTS = ("model", "objective", "adversary")
# The codec averages the codec alone, of all that it trains, under names of its own.
_PREFIX = "mimi."
_LEVELS = 127


def compact(stage: str, state: dict[str, Any]) -> dict[str, Any]:
    """`state` without the optimizer; of the weights the average alone, as the model, made small."""
    kept = {name: value for name, value in state.items() if name not in _DROPPED}
    average = kept.pop("average", {})
    make = _half if stage == train.STAGE else _rows
    prefix = _PREFIX if stage == train.STAGE else ""
    for name in _WEIGHTS:
        if name in kept:
            weights = dict(kept[name])
            if name != "adversary":
                weights |= {prefix + key: value for key, value in average.items()}
            if stage == polisher.STAGE:
                weights = {k: v for k, v in weights.items() if not k.startswith(FROZEN)}
            kept[name] = {key: make(tensor) for key, tensor in weights.items()}
    return kept


def expand(
    stage: str, state: dict[str, Any], codec: dict[str, Tensor] | None = None
) -> dict[str, Any]:
    """The same in fp32, the weights as they are now and averaged, as a stage takes it up.

    Args:
        stage: whose checkpoint it is.
        state: of `compact`.
        codec: the codec's weights, from which a polish takes what it does not train.

    Raises:
        ValueError: it is a polish's, and `codec` is None.
    """
    wide = dict(state)
    for name in _WEIGHTS:
        if name in wide:
            wide[name] = {key: _wide(tensor) for key, tensor in wide[name].items()}
    if stage == polisher.STAGE:
        if codec is None:
            raise ValueError("codec is None; allowed: the weights of the codec that was polished")
        frozen = {key: tensor for key, tensor in codec.items() if key.startswith(FROZEN)}
        wide["model"] |= {key: tensor.clone() for key, tensor in frozen.items()}
    weights = wide.get("objective") or wide.get("model") or {}
    prefix = _PREFIX if stage == train.STAGE else ""
    wide["average"] = {
        key.removeprefix(prefix): tensor.clone()
        for key, tensor in weights.items()
        if key.startswith(prefix)
    }
    return wide


def _half(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _rows(tensor: Tensor) -> Tensor | dict[str, Tensor]:
    """A matrix as int8 with a scale for each row (its last dimension), anything smaller in fp16."""
    if not tensor.is_floating_point() or tensor.dim() < 2:
        return _half(tensor)
    rows = tensor.flatten(0, -2)
    scale = rows.abs().amax(1).clamp(min=1e-12) / _LEVELS
    levels = (rows / scale[:, None]).round().to(torch.int8).view_as(tensor)
    return {"levels": levels, "scale": scale.float()}


def _wide(tensor: Tensor | dict[str, Tensor]) -> Tensor:
    if isinstance(tensor, dict):
        levels, scale = tensor["levels"].float(), tensor["scale"]
        return (levels.view(len(scale), -1) * scale[:, None]).view_as(levels)
    return tensor.float() if tensor.is_floating_point() else tensor


def main() -> None:
    given = parser("pause", __doc__)
    given.add_argument("direction", choices=("save", "restore"))
    given.add_argument("--at", type=Path, default=Path("training/paused"), help="compact files")
    given.add_argument("--stages", nargs="+", choices=_STAGES, default=_STAGES)
    arguments = given.parse_args()
    for stage in arguments.stages:
        full = checkpoint.path_of(arguments.work, stage)
        small = arguments.at / f"{stage}.pt"
        saves = arguments.direction == "save"
        source, target = (full, small) if saves else (small, full)
        state = checkpoint.load(source)
        if state is None:
            print(f"{source}: no such file, left out")
            continue
        if saves:
            state = compact(stage, state)
        else:
            polishes = stage == polisher.STAGE
            codec = train.trained_codec(arguments.work).state_dict() if polishes else None
            state = expand(stage, state, codec)
        checkpoint.save(target, state)
        print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
