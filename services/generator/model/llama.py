"""A Llama decoder stack: RMSNorm, grouped-query attention with RoPE, SwiGLU.

Both of CSM's transformers are this class. Weights that are read together are stored together: one
matrix for q, k and v, one for gate and up. RoPE turns the first half of a head against its second
half (transformers' pairing; Sesame's neighbouring pairs are reordered when loading).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from services.generator.model.attention import (
    Attend,
    CausalAttention,
    KVBuffers,
    KVCacheTensors,
    LiveAttention,
    MaskedAttention,
    PrefillAttention,
    UniformAttention,
)
from services.generator.model.llama_config import LlamaConfig
from services.generator.model.rows import Linear, RmsNorm, silu

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines, each fp32 [..., 1, head_dim / 2]: they broadcast over heads."""


class Rope:
    """Rotary angles of every position, in fp32 whatever the weights' dtype.

    Not a module: a cast of the model to bf16 must not touch the tables.
    """

    def __init__(self, config: LlamaConfig) -> None:
        self._config = config
        self._tables: dict[torch.device, Rotation] = {}

    def inverse_frequencies(self) -> Tensor:
        """Return fp32 [head_dim / 2], radians a position, with Llama 3's scaling applied."""
        config, scaling = self._config, self._config.rope_scaling
        exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
        plain = 1.0 / (config.rope_theta**exponents)
        if scaling is None:
            return plain
        wavelengths = 2 * math.pi / plain
        low, high = scaling.low_freq_factor, scaling.high_freq_factor
        # 0 where the wavelength is long enough to be stretched whole, 1 where it stays.
        kept = ((scaling.original_max_positions / wavelengths - low) / (high - low)).clamp(0, 1)
        return (1 - kept) * plain / scaling.factor + kept * plain

    def _table(self, device: torch.device) -> Rotation:
        if device not in self._tables:
            # An inference tensor in the table would break a later training pass.
            with torch.inference_mode(False), torch.no_grad():
                positions = torch.arange(self._config.max_positions, dtype=torch.float32)
                angles = positions[:, None] * self.inverse_frequencies()
                self._tables[device] = (
                    angles.cos()[:, None].to(device),
                    angles.sin()[:, None].to(device),
                )
        return self._tables[device]

    def at(self, positions: Tensor) -> Rotation:
        """Return the rotation at int64 positions [...], each of them below max_positions."""
        cosines, sines = self._table(positions.device)
        return cosines[positions], sines[positions]

    def between(self, start: int, end: int, device: torch.device) -> Rotation:
        """Return the rotation at the positions start to end - 1."""
        cosines, sines = self._table(device)
        return cosines[start:end], sines[start:end]


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn x [..., heads, head_dim] by RoPE, in fp32; dtype and shape are kept."""
    cosines, sines = rotation
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)
    return turned.to(x.dtype)


class Layer(nn.Module):
    """One decoder layer, cut where attention happens: `project` before it, `finish` after it."""

    def __init__(
        self,
        config: LlamaConfig,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        total_heads = config.heads + 2 * config.kv_heads
        product = partial(Linear, device=device, dtype=dtype)
        norm = partial(RmsNorm, config.width, config.norm_eps, device=device, dtype=dtype)
        self.attention_norm = norm()
        self.qkv = product(config.width, total_heads * config.head_dim)
        self.attention_out = product(config.heads * config.head_dim, config.width)
        self.mlp_norm = norm()
        self.gate_up = product(config.width, 2 * config.ffn_width)
        self.down = product(config.ffn_width, config.width)

    def project(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k, v of x [..., width], q and k turned: [..., (kv_)heads, head_dim]."""
        qkv = self.qkv(self.attention_norm(x))
        qkv = qkv.view(*x.shape[:-1], -1, self.head_dim)
        turned = rotate(qkv[..., : self.heads + self.kv_heads, :], rotation)
        q, k = turned.split((self.heads, self.kv_heads), dim=-2)
        return q, k, qkv[..., self.heads + self.kv_heads :, :]

    def compile_parts(self) -> None:
        """Let torch.compile fuse what lies between the products, when they are first called."""
        self.project = torch.compile(self.project, dynamic=True)  # type: ignore[method-assign]
        self.finish = torch.compile(self.finish, dynamic=True)  # type: ignore[method-assign]

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add attention [..., heads, head_dim] and the feed-forward part to x [..., width]."""
        x = x + self.attention_out(attended.flatten(-2))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.down(silu(gate) * up)


class Llama(nn.Module):
    """A stack of layers with its final norm; embeddings and heads belong to the caller.

    Every method takes inputs [..., width] and returns hidden states after the final norm, in the
    same shape. Weights are uninitialised until loaded or created.
    """

    def __init__(
        self,
        config: LlamaConfig,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.rope = Rope(config)
        layers = [Layer(config, device=device, dtype=dtype) for _ in range(config.layers)]
        self.layers: Sequence[Layer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.norm = RmsNorm(config.width, config.norm_eps, device=device, dtype=dtype)

    def allocate_cache(self, slots: int, max_positions: int) -> KVCacheTensors:
        """Return a zeroed cache of the weights' dtype and device.

        Raises:
            ValueError: `slots` or `max_positions` is below 1, or more positions are asked for than
                the stack has rotary angles.
        """
        config = self.config
        if slots < 1:
            raise ValueError(f"slots: {slots} is not allowed, must be >= 1")
        if not 1 <= max_positions <= config.max_positions:
            raise ValueError(
                f"max_positions: {max_positions} is not allowed, must be in "
                f"[1, {config.max_positions}]"
            )
        shape = (config.layers, slots, config.kv_heads, max_positions, config.head_dim)
        weight = self.norm.weight
        return KVCacheTensors.zeros(shape, device=weight.device, dtype=weight.dtype)

    def _run(self, x: Tensor, rotation: Rotation, attend: Attend) -> Tensor:
        for index, layer in enumerate(self.layers):
            q, k, v = layer.project(x, rotation)
            x = layer.finish(x, attend(index, q, k, v))
        return self.norm(x)

    def forward(self, x: Tensor) -> Tensor:
        """Whole sequences [batch, positions, width] from position 0, causal, differentiable."""
        return self._run(x, self.rope.between(0, x.shape[1], x.device), CausalAttention())

    def prefill(self, x: Tensor, start: int, slot: int, cache: KVBuffers) -> Tensor:
        """Positions `start` onwards of one slot, x [positions, width]."""
        count = x.shape[0]
        rotation = self.rope.between(start, start + count, x.device)
        return self._run(x, rotation, PrefillAttention(cache, slot, start, count))

    def step(
        self,
        x: Tensor,
        positions: Tensor,
        active: Tensor,
        cache: KVBuffers,
        *,
        fixed_shapes: bool = False,
    ) -> Tensor:
        """One position of every slot, x [slots, width], positions int64 and active bool [slots]."""
        live = x.device.type == "cpu" and not fixed_shapes
        kind = LiveAttention if live else MaskedAttention
        safe = positions.clamp(0, self.config.max_positions - 1)
        return self._run(x, self.rope.at(safe), kind(cache, positions, active))

    def uniform_step(self, x: Tensor, start: int, cache: KVBuffers) -> Tensor:
        """The same positions of every row, from `start`, x [rows, positions, width]."""
        count = x.shape[1]
        rotation = self.rope.between(start, start + count, x.device)
        return self._run(x, rotation, UniformAttention(cache, start, count))
