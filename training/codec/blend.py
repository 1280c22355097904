"""The mean of two decoders' weights: where one was trained from the other, often better than both.

    python -m training.codec.blend --other before.pt --share 0.35

Keep a copy of `checkpoints/polish.pt` before polishing on; `training/README.md` says what it gave.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training import checkpoint
from training.arguments import parser
from training.codec.decoder import of_another_codec
from training.codec.polisher import STAGE


def blend(state: dict[str, Any], other: dict[str, Any], share: float) -> dict[str, Any]:
    """Return `state` with the averaged decoder that has `share` of the other's weights.

    Training goes on from there. Encoder and codebooks are those of `state`, bit for bit.

    Raises:
        ValueError: `share` is not between 0 and 1, or the other polished another codec.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share: {share} is not allowed, must be in [0, 1]")
    if name := of_another_codec(other["model"], state["model"]):
        raise ValueError(f"other: {name} is not allowed to differ, must be the same codec's")
    ours, theirs = state["average"], other["average"]
    for name, tensor in ours.items():
        if name not in theirs or theirs[name].shape != tensor.shape:
            raise ValueError(f"other: {name} is not allowed to differ, must be of the same shape")
    # Not a sum of shares: where both are equal, `lerp` gives that very number.
    mixed = {name: tensor.lerp(theirs[name], share) for name, tensor in ours.items()}
    return {**state, "average": mixed, "model": {name: x.clone() for name, x in mixed.items()}}


def main() -> None:
    arguments = parser("codec.blend", "Give the polished decoder a share of another's weights.")
    arguments.add_argument("--other", type=Path, required=True, help="another polish.pt")
    arguments.add_argument("--share", type=float, required=True, help="of the other, 0 to 1")
    given = arguments.parse_args()
    path = checkpoint.path_of(given.work, STAGE)
    states = []
    for place in (path, given.other):
        state = checkpoint.load(place)
        if state is None:
            arguments.error(f"{place}: no such file; must be a checkpoint of the polish")
        states.append(state)
    try:
        checkpoint.save(path, blend(states[0], states[1], given.share))
    except ValueError as error:
        arguments.error(str(error))


if __name__ == "__main__":
    main()
