"""Causal convolutions with explicit state.

Activations are `[rows, time, channels]`, which makes a convolution of a few time steps one matrix
product over gathered windows. That is what a streaming step needs: oneDNN's convolution re-orders
the whole weight on every call, which at two time steps costs several times the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.tokenizer.codec.linear import linear
from services.tokenizer.codec.streaming import clear, store


@dataclass
class ConvState:
    """The inputs a causal convolution still needs: `previous` is `[rows, context, channels]`.

    `first` (bool `[rows]`) marks rows that have seen nothing yet; only a layer that pads by
    replication has it, because its padding is known only when the first input arrives.
    """

    previous: Tensor
    first: Tensor | None

    def reset(self, mask: Tensor | None = None) -> None:
        clear(self.previous, 0.0, mask)
        if self.first is not None:
            clear(self.first, True, mask)


class CausalConv1d(nn.Module):
    """A 1-d convolution that sees the present and the past only.

    The weight is kept as `[out, kernel, in / groups]`, the order in which windows of
    `[rows, time, channels]` lie in memory. With stride s and effective kernel k the layer looks
    k - s inputs back; before the start of a stream those are zeros, or with `replicate` copies
    of the first input (SEANet: Défossez et al. 2022, arXiv 2210.13438; state as in moshi,
    `modules/conv.py`).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        replicate: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.groups, self.replicate = groups, replicate
        self.span = (kernel_size - 1) * dilation + 1
        self.context = self.span - stride
        self.weight = nn.Parameter(torch.empty(out_channels, kernel_size, in_channels // groups))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None

    def state(self, rows: int) -> ConvState | None:
        """A fresh state for `rows` streams; None for a layer that needs no past."""
        if self.context == 0:
            return None
        weight = self.weight
        previous = weight.new_zeros(rows, self.context, self.in_channels)
        first = None
        if self.replicate:
            first = torch.ones(rows, dtype=torch.bool, device=weight.device)
        return ConvState(previous, first)

    def forward(
        self, x: Tensor, state: ConvState | None = None, exec_mask: Tensor | None = None
    ) -> Tensor:
        """`[rows, time, in]`, time a multiple of the stride, to `[rows, time / stride, out]`."""
        if self.context == 0:
            return self._convolve(x)
        if state is None:
            if self.replicate:
                x = torch.cat([x[:, :1].expand(-1, self.context, -1), x], dim=1)
            else:
                x = F.pad(x, (0, 0, self.context, 0))
            return self._convolve(x)
        previous = state.previous
        if state.first is not None:
            previous = torch.where(state.first.view(-1, 1, 1), x[:, :1], previous)
            if exec_mask is None:
                state.first.fill_(False)
            else:
                state.first.logical_and_(~exec_mask)
        x = torch.cat([previous, x], dim=1)
        store(state.previous, x[:, -self.context :], exec_mask)
        return self._convolve(x)

    def _convolve(self, x: Tensor) -> Tensor:
        # Training wants the convolution: gathered windows would be kept for the backward pass.
        if self.groups > 1 or torch.is_grad_enabled():
            # As an image one row high with its channels last, which is how both lie in memory: said
            # as a conv1d, oneDNN re-orders input, weight and output on every call.
            y = F.conv2d(
                x.unsqueeze(1).permute(0, 3, 1, 2),
                self.weight.unsqueeze(1).permute(0, 3, 1, 2),
                self._output_bias(),
                (1, self.stride),
                dilation=(1, self.dilation),
                groups=self.groups,
            )
            return y.permute(0, 2, 3, 1).squeeze(1)
        if self.kernel_size > 1:
            windows = x.unfold(1, self.span, self.stride)[..., :: self.dilation]
            # Said outright: left to the product, overlapping windows are copied element-wise.
            x = windows.transpose(2, 3).flatten(2).contiguous()
        elif self.stride > 1:
            x = x[:, :: self.stride]
        return linear(x, self.weight.flatten(1), self._output_bias())

    def _output_bias(self) -> Tensor | None:
        return self.bias


class CausalConvTranspose1d(CausalConv1d):
    """A transposed convolution of stride s and kernel 2 s, trimmed on the right.

    Each input reaches its own s outputs and the next s. So the layer is a causal convolution with
    kernel 2 whose output channels are (group, phase, channel), unfolded in time: the state is one
    input, and the overlap that a literal implementation must keep without its bias never exists.
    The weight is `[out * s, 2, in / groups]`; of the two taps the first is the older input.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels * stride, 2, groups=groups, bias=False)
        self.upsampling = stride
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None

    def forward(
        self, x: Tensor, state: ConvState | None = None, exec_mask: Tensor | None = None
    ) -> Tensor:
        """`[rows, time, in]` to `[rows, time * stride, out]`."""
        rows, time, _ = x.shape
        y = super().forward(x, state, exec_mask)
        if self.groups > 1:
            y = y.reshape(rows, time, self.groups, self.upsampling, -1).transpose(2, 3)
        return y.reshape(rows, time * self.upsampling, -1)

    def _output_bias(self) -> Tensor | None:
        if self.bias is None:
            return None
        bias = self.bias.view(self.groups, 1, -1)
        return bias.expand(-1, self.upsampling, -1).flatten()
