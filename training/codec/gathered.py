"""Resampling convolutions as one matrix product, for the training on a CPU.

A kernel of two strides reads blocks of a stride in pairs; with each pair side by side the layer is
one product, and so are both its gradients. oneDNN's gradients of the same convolutions take half as
long again, and twice as long where they are many moments long and few channels wide.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.tokenizer.codec.conv import CausalConv1d, CausalConvTranspose1d
from training import precision


class GatheredConv1d(CausalConv1d):
    """A convolution whose kernel is two strides, trained as a product of pairs of blocks."""

    def _convolve(self, x: Tensor) -> Tensor:
        return _pairs(self, x) if torch.is_grad_enabled() else super()._convolve(x)


class GatheredConvTranspose1d(CausalConvTranspose1d):
    """The same of a transposed convolution, which has a stride of one inside and two taps."""

    def _convolve(self, x: Tensor) -> Tensor:
        return _pairs(self, x) if torch.is_grad_enabled() else super()._convolve(x)


_GATHERED = {
    CausalConv1d: GatheredConv1d,
    CausalConvTranspose1d: GatheredConvTranspose1d,
}


def gather(module: nn.Module) -> int:
    """Have the convolutions of `module` that gain by it train as products; returns how many.

    Only on CPUs that compute in float32; what is computed stays the same.
    """
    fitting = [conv for conv in module.modules() if type(conv) in _GATHERED and _fits(conv)]
    for conv in fitting:
        conv.__class__ = _GATHERED[type(conv)]
    return len(fitting)


def _fits(conv: nn.Module) -> bool:
    if not isinstance(conv, CausalConv1d):
        return False
    device = conv.weight.device
    return (
        device.type == "cpu"
        and precision.of(device) is torch.float32
        and conv.groups == 1
        and conv.dilation == 1
        and conv.kernel_size == 2 * conv.stride
    )


def _pairs(conv: CausalConv1d, x: Tensor) -> Tensor:
    """`[rows, time, channels]`, the past before it, to `[rows, time / stride - 1, outputs]`."""
    rows, time, channels = x.shape
    blocks = x.reshape(rows, time // conv.stride, conv.stride * channels)
    pairs = torch.cat([blocks[:, :-1], blocks[:, 1:]], dim=-1)
    return F.linear(pairs, conv.weight.flatten(1), conv._output_bias())
