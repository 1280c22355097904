"""SEANet's residual block with a backward pass of its own.

Of a step of the codec's training in PyTorch a third goes into these blocks where they are many
moments long and few channels wide: oneDNN's gradient of a dilated convolution of 16 channels runs
at a seventh of the speed of the convolution itself. This one keeps a tile of time in the caches
from the first activation to the last gradient, and keeps nothing of it for the backward pass.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from services.native.build import NativeUnavailable
from services.tokenizer.codec.conv import CausalConv1d
from services.tokenizer.codec.seanet import ResidualBlock
from services.tokenizer.codec.streaming import LayerState
from training.codec.native import library
from training.codec.native.library import BlockGradients, BlockShape, BlockWeights

log = logging.getLogger(__name__)

# Of channels, what the library's loops count in.
_MULTIPLE = 4
# From here on up oneDNN is as fast.
_MOST_CHANNELS = 64


class NativeBlock(ResidualBlock):
    """A residual block that is trained natively; what it computes, and its state, are the same."""

    def forward(
        self, x: Tensor, state: LayerState | None = None, exec_mask: Tensor | None = None
    ) -> Tensor:
        """As `ResidualBlock.forward`."""
        if state is not None or not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
            return super().forward(x, state, exec_mask)
        inner, outer = cast(CausalConv1d, self.block[1]), cast(CausalConv1d, self.block[3])
        made: Tensor = _Block.apply(
            x, inner.weight, inner.bias, outer.weight, outer.bias, inner.dilation
        )
        return made


def hasten(module: nn.Module) -> int:
    """Have the residual blocks of `module` that gain by it train natively; returns how many.

    None do where there is no library, on another device than the CPU, or in another shape: they
    stay PyTorch's.
    """
    fitting = [block for block in module.modules() if type(block) is ResidualBlock and _fits(block)]
    if not fitting:
        return 0
    try:
        _library()
    except NativeUnavailable as error:
        log.warning("the codec trains without its native library: %s", error)
        return 0
    for block in fitting:
        block.__class__ = NativeBlock
    return len(fitting)


def _fits(block: ResidualBlock) -> bool:
    inner = cast(CausalConv1d, block.block[1])
    weight = inner.weight
    return (
        block.shortcut is None
        and not inner.replicate
        and weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and inner.in_channels % (2 * _MULTIPLE) == 0
        and inner.out_channels % _MULTIPLE == 0
        and inner.in_channels <= _MOST_CHANNELS
    )


class _Block(torch.autograd.Function):
    """x `[rows, time, channels]`, weights as `CausalConv1d` keeps them."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, inner: Tensor, inner_bias: Tensor, outer: Tensor, outer_bias: Tensor,
        dilation: int,
    ) -> Tensor:  # fmt: skip
        x = x.contiguous()
        weights = [each.contiguous() for each in (inner, inner_bias, outer, outer_bias)]
        ctx.save_for_backward(x, *weights)
        ctx.dilation = dilation
        y = torch.empty_like(x)
        shape, packed = _shape(inner, dilation), BlockWeights(*_pointers(weights))
        call = _library().training_block_forward

        def work(rows: slice) -> None:
            part, to = x[rows], y[rows]
            _check(
                call(shape, packed, part.data_ptr(), len(part), x.shape[1], to.data_ptr()),
            )

        _in_parts(len(x), work)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        dy = gradients[0].contiguous()
        dx = torch.empty_like(x)
        shape, packed = _shape(weights[0], ctx.dilation), BlockWeights(*_pointers(weights))
        call = _library().training_block_backward
        found: list[list[Tensor]] = []

        def work(rows: slice) -> None:
            of_weights = [torch.zeros_like(each) for each in weights]
            part, given, to = x[rows], dy[rows], dx[rows]
            sums = BlockGradients(*_pointers(of_weights))
            _check(
                call(
                    shape, packed, part.data_ptr(), given.data_ptr(), len(part), x.shape[1],
                    to.data_ptr(), sums,
                )
            )  # fmt: skip
            found.append(of_weights)

        _in_parts(len(x), work)
        total = [sum(each[1:], start=each[0]) for each in zip(*found, strict=True)]
        return dx, *total, None


def _shape(inner: Tensor, dilation: int) -> BlockShape:
    hidden, kernel, channels = inner.shape
    return BlockShape(channels, hidden, kernel, dilation)


def _pointers(tensors: list[Tensor]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]


def _check(failed: int) -> None:
    if failed:
        raise MemoryError("the native library of the training got no memory")


def _in_parts(rows: int, work: Callable[[slice], None]) -> None:
    """Have all rows worked on, a part of them by each of torch's threads."""
    threads = min(torch.get_num_threads(), rows)
    if threads == 1:
        work(slice(0, rows))
        return
    cuts = [rows * i // threads for i in range(threads + 1)]
    parts = [slice(a, b) for a, b in itertools.pairwise(cuts)]
    list(_pool(threads).map(work, parts))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


@cache
def _library() -> ctypes.CDLL:
    return library.load()
