"""The causal transformer with a sliding window that sits on both sides of Mimi's quantizer.

Facts from moshi `modules/transformer.py`: pre-LayerNorm, LayerScale, RoPE on queries and keys, no
biases (unless the config asks for them), position j visible to position i when
0 <= i - j < sliding_window, the window applied streaming and offline alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.linear import linear
from services.tokenizer.codec.streaming import clear

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
}


@dataclass
class TransformerState:
    """Ring buffers of keys and values, one for each row and layer.

    `keys` and `values` are `[layers, rows, kv_heads, capacity, head_dim]`; `positions` (int64
    `[rows]`) counts what each row has seen, and position p lies in slot p mod capacity. The
    capacity is window - 1 + max_step, so that the first query of the longest step still finds its
    whole window after the step's own keys are written. (moshi's ring has only `window` slots and
    loses `step - 1` of the oldest keys.) For the same reason rows that do not execute may be
    written too: the slots touched are outside every window until the row writes them itself.
    """

    keys: Tensor
    values: Tensor
    positions: Tensor
    max_step: int

    def reset(self, mask: Tensor | None = None) -> None:
        # Out of sight is not enough: attention weighs what it may not see by zero, and the NaN or
        # infinity that absurdly loud audio leaves behind survives that.
        for ring in (self.keys, self.values):
            clear(ring.transpose(0, 1), 0.0, mask)
        clear(self.positions, 0, mask)


@dataclass
class _Span:
    """What one pass over `time` positions needs in every layer."""

    cos: Tensor  # [rows or 1, 1, time, head_dim / 2]
    sin: Tensor
    bias: Tensor | None  # [rows, 1, time, capacity], 0 where visible and -inf elsewhere
    slots: Tensor | None  # int64 [rows, time], the ring slots of the new positions


class Attention(nn.Module):
    """Multi-head attention with one fused projection for queries, keys and values."""

    def __init__(self, config: MimiConfig) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim, self.window = config.head_dim, config.sliding_window
        query_size = self.num_heads * self.head_dim
        kv_size = self.num_kv_heads * self.head_dim
        bias = config.attention_bias
        self.qkv_proj = nn.Linear(config.hidden_size, query_size + 2 * kv_size, bias=bias)
        self.o_proj = nn.Linear(query_size, config.hidden_size, bias=bias)

    def forward(self, x: Tensor, span: _Span, ring: tuple[Tensor, Tensor] | None) -> Tensor:
        """`[rows, time, hidden_size]` to the same shape; `ring` is this layer's keys and values."""
        rows, time, _ = x.shape
        heads, kv_heads = self.num_heads, self.num_kv_heads
        qkv = linear(x, self.qkv_proj.weight, self.qkv_proj.bias).view(
            rows, time, heads + 2 * kv_heads, self.head_dim
        )
        qkv = qkv.transpose(1, 2)
        rotated = _rotate(qkv[:, : heads + kv_heads], span.cos, span.sin)
        query, key = rotated[:, :heads], rotated[:, heads:]
        value = qkv[:, heads + kv_heads :]
        if ring is None or span.slots is None:
            out = self._windowed(query, self._repeat(key), self._repeat(value))
        else:
            index = span.slots.view(rows, 1, time, 1).expand_as(key)
            ring[0].scatter_(2, index, key)
            ring[1].scatter_(2, index, value)
            keys, values = self._repeat(ring[0]), self._repeat(ring[1])
            out = F.scaled_dot_product_attention(query, keys, values, span.bias)
        out = out.transpose(1, 2).reshape(rows, time, -1)
        return linear(out, self.o_proj.weight, self.o_proj.bias)

    def _repeat(self, x: Tensor) -> Tensor:
        if self.num_kv_heads == self.num_heads:
            return x
        return x.repeat_interleave(self.num_heads // self.num_kv_heads, dim=1)

    def _windowed(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention over a whole sequence, a window's length of queries at a time.

        A block of queries sees at most two windows of keys, so memory grows with the sequence
        and not with its square.
        """
        time, window = query.shape[2], self.window
        blocks = []
        for start in range(0, time, window):
            end = min(start + window, time)
            oldest = max(0, start - window + 1)
            distance = (
                torch.arange(start, end, device=query.device)[:, None]
                - torch.arange(oldest, end, device=query.device)[None]
            )
            visible = (distance >= 0) & (distance < window)
            blocks.append(
                F.scaled_dot_product_attention(
                    query[:, :, start:end],
                    key[:, :, oldest:end],
                    value[:, :, oldest:end],
                    visible,
                )
            )
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=2)


class FeedForward(nn.Module):
    """Two linear maps with the configured activation between them."""

    def __init__(self, config: MimiConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.activation = _ACTIVATIONS[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        return linear(self.activation(linear(x, self.fc1.weight)), self.fc2.weight)


class LayerScale(nn.Module):
    """Adds an update to the residual stream, scaled for each channel (Touvron et al. 2021)."""

    def __init__(self, config: MimiConfig) -> None:
        super().__init__()
        self.scale = nn.Parameter(
            torch.full((config.hidden_size,), config.layer_scale_initial_scale)
        )

    def forward(self, residual: Tensor, update: Tensor) -> Tensor:
        return torch.addcmul(residual, update, self.scale)


class TransformerLayer(nn.Module):
    """Attention and feed-forward, each normalised before and scaled after."""

    def __init__(self, config: MimiConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = FeedForward(config)
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.self_attn_layer_scale = LayerScale(config)
        self.mlp_layer_scale = LayerScale(config)

    def forward(self, x: Tensor, span: _Span, ring: tuple[Tensor, Tensor] | None) -> Tensor:
        update = self.self_attn(self.input_layernorm(x), span, ring)
        x = self.self_attn_layer_scale(x, update)
        return self.mlp_layer_scale(x, self.mlp(self.post_attention_layernorm(x)))


class Transformer(nn.Module):
    """The stack of layers; positions, rotations and visibility are worked out once a pass."""

    def __init__(self, config: MimiConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            TransformerLayer(config) for _ in range(config.num_hidden_layers)
        )

    def state(self, rows: int, max_step: int) -> TransformerState:
        """A fresh state for `rows` streams that step at most `max_step` positions at once."""
        config = self.config
        weight = self.get_parameter("layers.0.self_attn.qkv_proj.weight")
        shape = (
            config.num_hidden_layers,
            rows,
            config.num_key_value_heads,
            config.sliding_window - 1 + max_step,
            config.head_dim,
        )
        return TransformerState(
            keys=weight.new_zeros(shape),
            values=weight.new_zeros(shape),
            positions=torch.zeros(rows, dtype=torch.int64, device=weight.device),
            max_step=max_step,
        )

    def forward(
        self, x: Tensor, state: TransformerState | None = None, exec_mask: Tensor | None = None
    ) -> Tensor:
        """`[rows, time, hidden_size]` to the same shape.

        Raises:
            ValueError: with a state, `time` is more than its `max_step`.
        """
        time = x.shape[1]
        if state is None:
            span = self._whole(x)
            for layer in self.layers:
                x = layer(x, span, None)
            return x
        if time > state.max_step:
            raise ValueError(f"time is {time} positions; allowed: 1 to {state.max_step}")
        span = self._step(x, state)
        for index, layer in enumerate(self.layers):
            x = layer(x, span, (state.keys[index], state.values[index]))
        state.positions.add_(time if exec_mask is None else exec_mask * time)
        return x

    def _whole(self, x: Tensor) -> _Span:
        positions = torch.arange(x.shape[1], device=x.device)[None]
        cos, sin = self._rotation(positions, x.dtype)
        return _Span(cos, sin, None, None)

    def _step(self, x: Tensor, state: TransformerState) -> _Span:
        capacity, time = state.keys.shape[3], x.shape[1]
        positions = state.positions[:, None] + torch.arange(time, device=x.device)
        cos, sin = self._rotation(positions, x.dtype)
        newest = positions[:, -1:]
        # The position each slot holds once this step is written; negative: never written.
        slots = torch.arange(capacity, device=x.device)
        held = (newest - (newest - slots) % capacity)[:, None, :]
        distance = positions[:, :, None] - held
        visible = (distance >= 0) & (distance < self.config.sliding_window) & (held >= 0)
        bias = torch.zeros(visible.shape, dtype=x.dtype, device=x.device)
        bias.masked_fill_(~visible, float("-inf"))
        return _Span(cos, sin, bias[:, None], positions % capacity)

    def _rotation(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        # In float64: after hours of a stream a float32 angle is off by more than a hundredth.
        half = self.config.head_dim // 2
        exponent = torch.arange(half, dtype=torch.float64, device=positions.device) / half
        angle = positions[:, None, :, None] * self.config.rope_theta**-exponent
        return angle.cos().to(dtype), angle.sin().to(dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE with pairs (i, i + head_dim / 2), Hugging Face's order of the rows of q and k."""
    low, high = x.chunk(2, dim=-1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)
