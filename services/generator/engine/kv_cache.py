"""The static KV cache of all slots: the model's tensors and the record of what is in them."""

from __future__ import annotations

from torch import Tensor

from services.generator.engine.cache_rows import CacheRecord
from services.generator.engine.protocol import Model


class KVCache:
    """`keys` and `values`, each [layers, slots, kv_heads, max_positions, head_dim].

    Shapes never change, so that a CUDA graph or a compiled step can take them.
    """

    def __init__(self, model: Model, slots: int, max_positions: int, columns: int, chunk: int):
        buffers = model.allocate_cache(slots, max_positions)
        self.keys: Tensor = buffers.keys
        self.values: Tensor = buffers.values
        self.record = CacheRecord(
            slots, max_positions, columns, chunk, cuts_freely=model.cuts_freely
        )

    def copy(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` positions of one slot into another."""
        for buffer in (self.keys, self.values):
            buffer[:, target, :, :length] = buffer[:, source, :, :length]

    def clear(self, slot: int) -> None:
        """Zeroes a slot after a failure: masked attention multiplies dead positions by zero, which
        a NaN left behind would survive."""
        for buffer in (self.keys, self.values):
            buffer[:, slot].zero_()

    @property
    def nbytes(self) -> int:
        """Memory of both tensors in bytes."""
        return self.keys.nbytes + self.values.nbytes
