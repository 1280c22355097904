"""Operations whose result for a row does not depend on the other rows of the batch.

"The same seed gives the same codes, alone or in a batch" needs arithmetic that is the same bit for
bit wherever a row sits and whoever its neighbours are. MKL's fp32 matrix product is not: with two
threads it sums the last rows of a batch of 5, 6, 7 or 9 to 11 in another order than the first ones.
oneDNN's is (checked for batches of 1 to 64 and 1 to 4 threads, fp32 and bf16), and reads the
weights two to three times faster at small batches. Likewise `silu`'s scalar tail rounds otherwise
than its vector body, where a thread's share ends inside a row.

Under autograd the ordinary differentiable functions run instead: training has no neighbours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


def _has_onednn_linear() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


HAS_ONEDNN_LINEAR = _has_onednn_linear()
"""Whether this build of torch has oneDNN's fp32 product; without it, `functional.linear` runs."""


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Return `x @ weight.T`: x [..., in], weight [out, in], both of one dtype, to [..., out]."""
    if (
        HAS_ONEDNN_LINEAR
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.is_grad_enabled()
    ):
        flat = x.reshape(-1, x.shape[-1])
        product = torch.ops.mkldnn._linear_pointwise(flat, weight, None, "none", [], "")
        return product.view(*x.shape[:-1], weight.shape[0])
    return functional.linear(x, weight)


def silu(x: Tensor) -> Tensor:
    """Return `x * sigmoid(x)`, elementwise, shape and dtype of x."""
    if x.device.type == "cpu" and not torch.is_grad_enabled():
        # exp, add and divide round alike in the vector body and the scalar tail; silu does not.
        wide = x.float()
        return (wide / (1.0 + torch.exp(-wide))).to(x.dtype)
    return functional.silu(x)


class Linear(nn.Module):
    """A matrix product without bias, `weight` [out, in], left uninitialised (loaded or created)."""

    def __init__(
        self,
        in_width: int,
        out_width: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_width, in_width, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight)


class RmsNorm(nn.Module):
    """Root mean square norm in fp32, cast back, then scaled (as torchtune and transformers do)."""

    def __init__(
        self,
        width: int,
        eps: float,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return wide.to(x.dtype) * self.weight
