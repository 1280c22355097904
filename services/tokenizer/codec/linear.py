"""The matrix product of a streaming step."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Up to here the transposed product is the faster one on CPUs (at 2 vectors, 1.5 to 3 times).
_FEW_VECTORS = 8


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias: `[..., in]` by `[out, in]` to `[..., out]`.

    A step of one frame multiplies large weights with two or so vectors, which is a matter of
    reading the weights. BLAS packs the weights first when they come as the second factor; with
    the weights as the first factor it reads them as they lie.
    """
    vectors = x.numel() // x.shape[-1]
    if vectors > _FEW_VECTORS or x.device.type != "cpu" or torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    columns = x.reshape(vectors, -1).t()
    if bias is None:
        product = torch.mm(weight, columns)
    else:
        product = torch.addmm(bias[:, None], weight, columns)
    return product.t().contiguous().view(*x.shape[:-1], -1)
