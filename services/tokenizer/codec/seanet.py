"""SEANet: the convolutional encoder and decoder around Mimi's transformers.

Défossez et al. 2024 (Moshi, arXiv 2410.00037) section 3.3; shapes as in moshi `modules/seanet.py`.
Module names follow Hugging Face's `MimiModel`, so a parameter's path is its name in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, cast

import torch.nn.functional as F
from torch import Tensor, nn

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.conv import CausalConv1d, CausalConvTranspose1d
from services.tokenizer.codec.streaming import LayerState


class StreamingLayer(Protocol):
    """A module of a stack: what it computes, and the state it needs to do so in steps."""

    def state(self, rows: int) -> LayerState | None: ...


@dataclass
class StackState:
    """The states of a stack of layers, in their order; None where a layer has no past."""

    layers: tuple[LayerState | None, ...]

    def reset(self, mask: Tensor | None = None) -> None:
        for layer in self.layers:
            if layer is not None:
                layer.reset(mask)


class Elu(nn.Module):
    """The activation between convolutions; a module so that layer numbers match checkpoints."""

    def state(self, rows: int) -> None:
        return None

    def forward(
        self, x: Tensor, state: LayerState | None = None, exec_mask: Tensor | None = None
    ) -> Tensor:
        return F.elu(x)


class Stack(nn.Module):
    """Layers one after the other, each with its own state."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def state(self, rows: int) -> StackState:
        """A fresh state for `rows` streams."""
        layers = cast(Iterable[StreamingLayer], self.layers)
        return StackState(tuple(layer.state(rows) for layer in layers))

    def forward(
        self, x: Tensor, state: StackState | None = None, exec_mask: Tensor | None = None
    ) -> Tensor:
        """`[rows, time, channels]` through all layers."""
        states = (None,) * len(self.layers) if state is None else state.layers
        for layer, layer_state in zip(self.layers, states, strict=True):
            x = layer(x, layer_state, exec_mask)
        return x


class ResidualBlock(nn.Module):
    """x + conv1(elu(conv_k(elu(x)))), the inner width divided by `compress`."""

    def __init__(self, config: MimiConfig, channels: int, dilation: int) -> None:
        super().__init__()
        hidden = channels // config.compress
        replicate = config.pad_mode == "replicate"
        self.block = nn.ModuleList(
            [
                Elu(),
                CausalConv1d(
                    channels,
                    hidden,
                    config.residual_kernel_size,
                    dilation=dilation,
                    replicate=replicate,
                ),
                Elu(),
                CausalConv1d(hidden, channels, 1),
            ]
        )
        self.shortcut = CausalConv1d(channels, channels, 1) if config.use_conv_shortcut else None

    def state(self, rows: int) -> LayerState | None:
        """A fresh state for `rows` streams: that of the one layer that looks back."""
        return cast(CausalConv1d, self.block[1]).state(rows)

    def forward(
        self, x: Tensor, state: LayerState | None = None, exec_mask: Tensor | None = None
    ) -> Tensor:
        """`[rows, time, channels]` to the same shape."""
        residual = x if self.shortcut is None else self.shortcut(x)
        hidden = self.block[1](F.elu(x), state, exec_mask)
        return residual + self.block[3](F.elu(hidden))


def _residuals(config: MimiConfig, channels: int) -> list[nn.Module]:
    return [
        ResidualBlock(config, channels, config.dilation_growth_rate**level)
        for level in range(config.num_residual_layers)
    ]


class SeanetEncoder(Stack):
    """Audio `[rows, samples, audio_channels]` to `[rows, samples / hop_samples, hidden_size]`."""

    def __init__(self, config: MimiConfig) -> None:
        replicate = config.pad_mode == "replicate"
        width = config.num_filters
        layers: list[nn.Module] = [
            CausalConv1d(config.audio_channels, width, config.kernel_size, replicate=replicate)
        ]
        for ratio in reversed(config.upsampling_ratios):
            layers += _residuals(config, width)
            layers += [
                Elu(),
                CausalConv1d(width, width * 2, ratio * 2, stride=ratio, replicate=replicate),
            ]
            width *= 2
        layers += [
            Elu(),
            CausalConv1d(width, config.hidden_size, config.last_kernel_size, replicate=replicate),
        ]
        super().__init__(layers)


class SeanetDecoder(Stack):
    """`[rows, time, hidden_size]` to audio `[rows, time * hop_samples, audio_channels]`."""

    def __init__(self, config: MimiConfig) -> None:
        replicate = config.pad_mode == "replicate"
        width = config.num_filters * 2 ** len(config.upsampling_ratios)
        layers: list[nn.Module] = [
            CausalConv1d(config.hidden_size, width, config.kernel_size, replicate=replicate)
        ]
        for ratio in config.upsampling_ratios:
            layers += [Elu(), CausalConvTranspose1d(width, width // 2, ratio)]
            width //= 2
            layers += _residuals(config, width)
        layers += [
            Elu(),
            CausalConv1d(
                width, config.audio_channels, config.last_kernel_size, replicate=replicate
            ),
        ]
        super().__init__(layers)
