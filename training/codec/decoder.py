"""The decoder of a codec, which the stage `polish` trains while all that makes codes stays."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from services.tokenizer.codec.mimi import Mimi

FROZEN = ("encoder", "downsample", "quantizer")
"""How the names of what no polish changes begin."""


def decoder_parts(mimi: Mimi) -> nn.ModuleDict:
    """The parts behind the codes."""
    parts = {"decoder_transformer": mimi.decoder_transformer, "decoder": mimi.decoder}
    if mimi.upsample is not None:
        parts["upsample"] = mimi.upsample
    return nn.ModuleDict(parts)


def of_another_codec(weights: dict[str, Tensor], own: dict[str, Tensor]) -> str | None:
    """The name of what in `weights` another codec has than `own`: encoder or codebooks; or None."""
    for name, tensor in weights.items():
        if name not in own or (name.startswith(FROZEN) and not torch.equal(own[name], tensor)):
            return name
    return None


def refuse_another_codec(weights: dict[str, Tensor], codec: Mimi) -> None:
    """Raises `ValueError` where polished `weights` are not of `codec`: its codes are others."""
    if name := of_another_codec(weights, codec.state_dict()):
        raise ValueError(
            f"polish: the checkpoint polished another codec ({name} differs); remove it to "
            f"polish this one"
        )
