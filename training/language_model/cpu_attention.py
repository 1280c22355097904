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

    Query head i reads kv head i / (heads / kv_heads), as `enable_gqa` has it.
    """
    rows, heads, positions, width = q.shape
    kv_heads = k.shape[1]
    group = heads // kv_heads
    # The heads of a group are more queries of the same keys.
    queries = q.reshape(rows * kv_heads, group * positions, width) * width**-0.5
    keys = k.reshape(rows * kv_heads, positions, width)
    values = v.reshape(rows * kv_heads, positions, width)
    scores = torch.bmm(queries, keys.transpose(1, 2)).view(-1, group, positions, positions)
    future = torch.ones(positions, positions, dtype=torch.bool, device=q.device).triu(1)
    shares = scores.masked_fill(future, -torch.inf).softmax(-1, dtype=scores.dtype)
    attended = torch.bmm(shares.view(-1, group * positions, positions), values)
    return attended.view(rows, heads, positions, width)
