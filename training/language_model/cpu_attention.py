"""Attention for training on a CPU: the model's own, computed by matrix products.

torch's fused kernel for the CPU saves memory that sequences of a few hundred positions do not
need, and its bf16 backward pass takes two to three times as long as plain products do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.overrides import TorchFunctionMode

_BLOCK = 160
"""Queries at a time. Measured at 320 and 630 positions, one thread, forward and backward: 0.65 and
0.5 of the whole square's time."""


class ProductAttention(TorchFunctionMode):
    """While the block runs, causal attention without a mask of its own is plain products."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func is functional.scaled_dot_product_attention and named.get("is_causal"):
            others = named.keys() - {"is_causal", "enable_gqa"}
            if len(args) == 3 and not others:
                return causal_attention(*args)
        return func(*args, **named)


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend causally: q [rows, heads, positions, head_dim], k and v with (kv_)heads; to q's shape.

    Query head i reads kv head i / (heads / kv_heads), as `enable_gqa` has it. Block by block of
    queries, each with the keys up to its end: half of the square is never computed.
    """
    rows, heads, positions, width = q.shape
    kv_heads = k.shape[1]
    group = heads // kv_heads
    # The heads of a group are more queries of the same keys.
    queries = (q * width**-0.5).reshape(rows * kv_heads, group, positions, width)
    keys = k.reshape(rows * kv_heads, positions, width).transpose(1, 2)
    values = v.reshape(rows * kv_heads, positions, width)
    blocks = []
    for start in range(0, positions, _BLOCK):
        end = min(start + _BLOCK, positions)
        size = end - start
        block = queries[:, :, start:end].reshape(-1, group * size, width)
        scores = torch.bmm(block, keys[:, :, :end]).view(-1, group, size, end)
        unseen = torch.zeros(size, end, dtype=scores.dtype, device=q.device)
        unseen[:, start:] = torch.full_like(unseen[:, start:], -torch.inf).triu(1)
        shares = (scores + unseen).softmax(-1, dtype=scores.dtype)
        attended = torch.bmm(shares.view(-1, group * size, end), values[:, :end])
        blocks.append(attended.view(-1, group, size, width))
    return torch.cat(blocks, dim=2).view(rows, heads, positions, width)
