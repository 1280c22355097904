"""How a stack's layers attend: one small class per situation, all of one shape.

Each is called once a layer as `attend(layer, q, k, v)`, with q [..., heads, head_dim] and k, v
[..., kv_heads, head_dim] already turned by RoPE, writes the keys and values into the cache it was
built with, and returns the attended [..., heads, head_dim]. No layer owns a cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as functional
from torch import Tensor


class KVBuffers(Protocol):
    """Keys and values of every layer, each [layers, slots, kv_heads, max_positions, head_dim].

    They must be finite from the start (zeros, not `torch.empty`): the masked attention multiplies
    what lies beyond a row's length by zero.
    """

    @property
    def keys(self) -> Tensor: ...

    @property
    def values(self) -> Tensor: ...


@dataclass(frozen=True)
class KVCacheTensors:
    """The plainest `KVBuffers`."""

    keys: Tensor
    values: Tensor

    @classmethod
    def zeros(
        cls,
        shape: tuple[int, int, int, int, int],
        *,
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> KVCacheTensors:
        """Allocate both, `shape` being [layers, slots, kv_heads, max_positions, head_dim]."""
        # An inference tensor could not be written from ordinary code later.
        with torch.inference_mode(False):
            return cls(
                torch.zeros(shape, device=device, dtype=dtype),
                torch.zeros(shape, device=device, dtype=dtype),
            )


class Attend(Protocol):
    """What a stack calls once a layer; shapes as at the head of this file."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor: ...


def _grouped(q: Tensor, kv_heads: int) -> Tensor:
    """View one position's heads as the queries of their kv head.

    q [rows, heads, head_dim] to [rows, kv_heads, group, head_dim]: all queries of a group see the
    same keys, so that no key is copied or read twice.
    """
    return q.view(q.shape[0], kv_heads, -1, q.shape[-1])


class CausalAttention:
    """Whole sequences without a cache, for training: q [batch, positions, heads, head_dim]."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        attended = functional.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            is_causal=True,
            enable_gqa=q.shape[-2] != k.shape[-2],
        )
        return attended.transpose(1, 2)


class PrefillAttention:
    """`count` new positions of one slot, from `start`: q [count, heads, head_dim].

    On CUDA a group's queries stand one behind the other under one kv head, as if they were further
    positions: its kernels for grouped queries take no mask, and without this the keys would be
    copied for every head and all scores written out (torch 2.13, scaled_dot_product_attention).
    """

    def __init__(
        self, cache: KVBuffers, slot: int, start: int, count: int, *, folded: bool | None = None
    ) -> None:
        self._cache, self._slot, self._start, self._end = cache, slot, start, start + count
        device = cache.keys.device
        self._folded = device.type == "cuda" if folded is None else folded
        # Always a mask, never is_causal: one kernel, whatever the chunking.
        ones = torch.ones(count, self._end, dtype=torch.bool, device=device)
        self._mask = ones.tril(diagonal=start)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys = self._cache.keys[layer, self._slot]
        values = self._cache.values[layer, self._slot]
        keys[:, self._start : self._end] = k.transpose(0, 1)
        values[:, self._start : self._end] = v.transpose(0, 1)
        count, heads, head_dim = q.shape
        queries, mask = q.transpose(0, 1), self._mask
        group = heads // k.shape[-2]
        if self._folded:
            queries, mask = queries.reshape(-1, group * count, head_dim), mask.repeat(group, 1)
        attended = functional.scaled_dot_product_attention(
            queries[None],
            keys[None, :, : self._end],
            values[None, :, : self._end],
            attn_mask=mask,
            enable_gqa=group > 1 and not self._folded,
        )
        return attended[0].reshape(heads, count, head_dim).transpose(0, 1)


class LiveAttention:
    """One new position of every active slot, each over its own live positions: for the CPU.

    q [slots, heads, head_dim]. A Python loop over the active rows reads no dead position, and keeps
    a row's arithmetic apart from its neighbours' lengths. Inactive rows come back as zeros.
    """

    def __init__(self, cache: KVBuffers, positions: Tensor, active: Tensor) -> None:
        self._cache = cache
        self._slots = active.nonzero().flatten()
        self._positions = positions[self._slots]
        self._lengths = [
            (slot, position + 1)
            for slot, position in zip(
                self._slots.tolist(), self._positions.tolist(), strict=True
            )
        ]  # fmt: skip

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys[self._slots, :, self._positions] = k[self._slots]
        values[self._slots, :, self._positions] = v[self._slots]
        queries = _grouped(q, keys.shape[1])
        attended = torch.zeros_like(queries)
        for slot, length in self._lengths:
            attended[slot : slot + 1] = functional.scaled_dot_product_attention(
                queries[slot : slot + 1],
                keys[slot : slot + 1, :, :length],
                values[slot : slot + 1, :, :length],
            )
        return attended.view_as(q)


class MaskedAttention:
    """The same in fixed shapes and without a look at the host, for CUDA and its graphs.

    q [slots, heads, head_dim]. Inactive rows write back what the cache already holds.
    """

    def __init__(self, cache: KVBuffers, positions: Tensor, active: Tensor) -> None:
        slots, max_positions = positions.shape[0], cache.keys.shape[3]
        self._cache = cache
        self._slots = torch.arange(slots, device=positions.device)
        self._positions = positions.clamp(0, max_positions - 1)
        self._active = active[:, None, None]
        every = torch.arange(max_positions, device=positions.device)
        self._mask = (every <= self._positions[:, None])[:, None, None, :]

    def _write(self, buffer: Tensor, new: Tensor) -> None:
        old = buffer[self._slots, :, self._positions]
        buffer[self._slots, :, self._positions] = torch.where(self._active, new, old)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        self._write(keys, k)
        self._write(values, v)
        attended = functional.scaled_dot_product_attention(
            _grouped(q, keys.shape[1]), keys, values, attn_mask=self._mask
        )
        return attended.reshape(q.shape)


class UniformAttention:
    """All rows at the same positions, as in the depth decoder's frame loop.

    q [rows, count, heads, head_dim], written at `start` to `start + count - 1`. More than one
    position at once only from an empty cache (`start` 0).
    """

    def __init__(self, cache: KVBuffers, start: int, count: int) -> None:
        if start and count > 1:
            raise ValueError(f"count: {count} is not allowed, must be 1 when start is {start}")
        self._cache, self._start, self._end = cache, start, start + count

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys[:, :, self._start : self._end] = k.transpose(1, 2)
        values[:, :, self._start : self._end] = v.transpose(1, 2)
        live_keys, live_values = keys[:, :, : self._end], values[:, :, : self._end]
        if q.shape[1] == 1:
            attended = functional.scaled_dot_product_attention(
                _grouped(q[:, 0], keys.shape[1]), live_keys, live_values
            )
            return attended.reshape(q.shape)
        attended = functional.scaled_dot_product_attention(
            q.transpose(1, 2),
            live_keys,
            live_values,
            is_causal=True,
            enable_gqa=q.shape[2] != keys.shape[1],
        )
        return attended.transpose(1, 2)
