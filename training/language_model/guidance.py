"""Guided attention: heads that learn to look at the text being spoken.

One head in each of two layers is pulled towards the characters of the frame that comes next. The
model knows nothing of it: what its q and k products give is looked at from outside, and RoPE and
the softmax of that one head are computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from services.generator.model.csm import Csm
from services.generator.model.llama import rotate

HEAD = 0
"""The guided head of each guided layer."""


def guided_layers(layers: int) -> tuple[int, ...]:
    """Return which of a backbone's layers are guided: two a third of the way up."""
    return tuple(sorted({layers // 3, min(layers // 3 + 1, layers - 1)}))


@contextmanager
def watched(model: Csm, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Collect, by layer, what passes through while the block runs.

    Yields a dictionary that each pass of the backbone fills with the layers' products q, k and v
    before RoPE, [..., positions, (heads + 2 kv_heads) * head_dim], part of the autograd graph.
    """
    seen: dict[int, Tensor] = {}

    def keep(layer: int) -> torch.utils.hooks.RemovableHandle:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            seen[layer] = output

        return model.backbone.layers[layer].qkv.register_forward_hook(hook)

    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(keep(layer))
        yield seen


def attention_scores(model: Csm, products: Tensor) -> Tensor:
    """Return the guided head's scores before mask and softmax.

    products [rows, positions, ...] of one layer (`watched`) to [rows, positions, positions],
    queries first.
    """
    config = model.backbone.config
    rows, positions = products.shape[:2]
    heads = products.view(rows, positions, -1, config.head_dim)
    group = config.heads // config.kv_heads
    pair = torch.stack((heads[:, :, HEAD], heads[:, :, config.heads + HEAD // group]), dim=2)
    rotation = model.backbone.rope.between(0, positions, products.device)
    q, k = rotate(pair, rotation).unbind(2)
    return q @ k.transpose(1, 2) / config.head_dim**0.5


def loss(model: Csm, seen: dict[int, Tensor], scored: Tensor, places: Tensor) -> Tensor:
    """Return the mean negative log of the attention that lands where it should.

    Args:
        model: the model that was watched.
        seen: by layer, of one pass over [rows, positions].
        scored: int64 [targets], flat positions whose attention is guided.
        places: int64 [targets, 2], the first and the last position of the row to look at.

    Returns:
        fp32 [], in nats, averaged over layers and targets.
    """
    losses = []
    for products in seen.values():
        scores = attention_scores(model, products)
        positions = scores.shape[1]
        rows = scores.flatten(0, 1)[scored].float()
        key = torch.arange(positions, device=rows.device)
        future = key > (scored % positions)[:, None]
        elsewhere = (key < places[:, :1]) | (key > places[:, 1:])
        everything = rows.masked_fill(future, -torch.inf).logsumexp(-1)
        there = rows.masked_fill(elsewhere | future, -torch.inf).logsumexp(-1)
        losses.append((everything - there).mean())
    return torch.stack(losses).mean()
