"""Dropout for a model that has none: what a layer adds to its input loses some of its channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from services.generator.model.csm import Csm


@contextmanager
def dropped(model: Csm, share: float, *, seed: int) -> Iterator[None]:
    """Silence channels of the backbone's attention and feed-forward outputs while the block runs.

    A row keeps its channels over all positions (Gal and Ghahramani 2016), so that a batch costs
    hardly more; what is kept is scaled to the same mean. The same seed draws the same channels.

    Args:
        model: its products are hooked; its weights are not touched.
        share: of the channels, in [0, 1).
        seed: of the draw.
    """
    generator = torch.Generator().manual_seed(seed)

    def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        kept = torch.rand(output.shape[0], 1, output.shape[-1], generator=generator) >= share
        return output * (kept.to(output) / (1 - share))

    with ExitStack() as hooks:
        for layer in model.backbone.layers if share else ():
            for product in (layer.attention_out, layer.down):
                hooks.enter_context(product.register_forward_hook(hook))
        yield
