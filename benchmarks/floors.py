"""What a frame costs at the least: bytes that must be read and operations that must be made."""

from __future__ import annotations

from dataclasses import dataclass

from services.generator.model.config import CsmConfig, LlamaConfig

BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
"""Of a weight, by format."""


@dataclass(frozen=True)
class Floor:
    """One frame of one slot, in matrix weights read (each is a multiplication and an addition) and
    elements of the KV cache read a position of its past."""

    backbone_weights: int
    depth_weights: int
    cache_elements: int

    @property
    def weights(self) -> int:
        """All weights of a frame; a batch reads them once."""
        return self.backbone_weights + self.depth_weights

    def bytes_read(
        self, weight_bytes: float, cache_bytes: int, batch: int, positions: int
    ) -> float:
        """Bytes of a step of `batch` slots, each with so many positions behind it."""
        return self.weights * weight_bytes + (batch * positions * self.cache_elements * cache_bytes)

    def operations(self, batch: int) -> int:
        """Multiplications and additions of a step's matrix products."""
        return 2 * batch * self.weights


def of(config: CsmConfig) -> Floor:
    """The floor of a model: embeddings are looked up, so they count nothing."""
    passes = config.num_codebooks - 1
    depth, backbone = config.depth, config.backbone
    # The state of the backbone and the first code go in together: one pass a further codebook.
    depth_pass = (
        depth.layers * _layer_weights(depth)
        + backbone.width * depth.width
        + depth.width * config.audio_vocab_size
    )
    return Floor(
        backbone_weights=backbone.layers * _layer_weights(backbone)
        + backbone.width * config.audio_vocab_size,
        depth_weights=passes * depth_pass,
        cache_elements=2 * backbone.layers * backbone.kv_heads * backbone.head_dim,
    )


def _layer_weights(stack: LlamaConfig) -> int:
    heads = 2 * stack.heads + 2 * stack.kv_heads
    return stack.width * (heads * stack.head_dim + 3 * stack.ffn_width)
