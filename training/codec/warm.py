"""The start of a training from a codec that is there, in its own shape or a wider one.

What the wider one has more of is drawn, and nothing that was there before listens to it: at the
start both compute the same function, bit for bit but for the order of sums. (Net2Net, Chen et al.
2016, arXiv 1511.05641, copies channels instead; copies learn alike until noise parts them.)
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.conv import CausalConvTranspose1d
from services.tokenizer.codec.mimi import Mimi
from services.tokenizer.codec.random import create

# Of the scale that keeps what passes through: a new channel speaks up as the training lets it.
_NEW_SCALE = 0.5
# Where the new codec may differ from the one it starts from.
_FREE = ("num_filters", "num_codebooks", "codebook_size")


@torch.no_grad()
def widened(source: Mimi, config: MimiConfig, *, seed: int) -> Mimi:
    """A codec of shape `config` that sounds as `source` does.

    Codebooks come along where their number and size are the same; a training sets them anew.

    Raises:
        ValueError: `config` differs in more than filters and codebooks, or has fewer filters.
    """
    same = replace(config, **{name: getattr(source.config, name) for name in _FREE})
    if same != source.config:
        name = next(n for n, value in vars(same).items() if value != getattr(source.config, n))
        raise ValueError(
            f"{name} is {getattr(config, name)!r}; allowed: {getattr(source.config, name)!r}, as "
            f"the codec has that it starts from"
        )
    if config.num_filters < source.config.num_filters:
        raise ValueError(
            f"num_filters is {config.num_filters}; allowed: at least {source.config.num_filters}, "
            f"as the codec has that it starts from"
        )
    mimi = create(config, seed=seed)
    phases = {
        f"{name}.weight": module.upsampling
        for name, module in mimi.named_modules()
        if isinstance(module, CausalConvTranspose1d) and module.groups == 1
    }
    for name, wide in mimi.named_parameters():
        narrow = source.get_parameter(name)
        if wide.shape == narrow.shape:
            wide.copy_(narrow)
        else:
            count = phases.get(name, 1)
            _insert(wide.unflatten(0, (count, -1)), narrow.unflatten(0, (count, -1)))
    for part, theirs in (
        (mimi.quantizer.semantic, source.quantizer.semantic),
        (mimi.quantizer.acoustic, source.quantizer.acoustic),
    ):
        if part.codebooks.shape == theirs.codebooks.shape:
            part.set_codebooks(theirs.codebooks)
    return mimi


def _insert(wide: Tensor, narrow: Tensor) -> None:
    """Put `narrow` `[phases, out, ...]` into the lower corner of `wide`, in place."""
    outputs = narrow.shape[1]
    wide[:, outputs:] *= _NEW_SCALE
    if narrow.dim() == 4:
        inputs = narrow.shape[3]
        wide[:, :outputs, :, inputs:] = 0.0
        wide[:, :outputs, :, :inputs] = narrow
    else:
        wide[:, :outputs] = narrow
