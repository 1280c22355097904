"""The sizes of the language models that this stage trains. Knows nothing of torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from services.generator.model.config import RESERVED_CODES, CsmConfig, LlamaConfig, TokenIds

HEAD_DIM = 64
ROPE_THETA = 10_000.0
MAX_POSITIONS = 640
"""Of a conversation, in training and therefore afterwards: beyond it the model babbles."""
TEXT_VOCAB_SIZE = 64
TOKEN_IDS = TokenIds(
    bos_token_id=1, eos_token_id=2, pad_token_id=0, audio_token_id=62, audio_eos_token_id=63
)
"""The special ids of the project's character vocabulary."""


@dataclass(frozen=True)
class Stack:
    """One Llama stack; heads are `HEAD_DIM` wide."""

    layers: int
    heads: int
    kv_heads: int
    width: int
    ffn_width: int


SIZES: dict[str, tuple[Stack, Stack]] = {
    "small": (Stack(6, 6, 2, 320, 896), Stack(3, 3, 1, 192, 512)),
    "medium": (Stack(8, 6, 2, 384, 1024), Stack(3, 3, 1, 192, 512)),
    "large": (Stack(12, 8, 2, 512, 1408), Stack(4, 4, 1, 256, 704)),
}
"""Backbone and depth decoder by name: 12, 18 and 43 million weights with pico's codec."""


def build(size: str, *, num_codebooks: int, codebook_size: int) -> CsmConfig:
    """Return the model's config for a codec.

    Args:
        size: a name of `SIZES`.
        num_codebooks: the codec's.
        codebook_size: the codec's; codes are below it.

    Raises:
        ValueError: the size is unknown, or the codec's numbers are out of range.
    """
    if size not in SIZES:
        raise ValueError(f"size: {size!r} is not allowed, must be one of {sorted(SIZES)}")
    backbone, depth = SIZES[size]
    llama = partial(LlamaConfig, head_dim=HEAD_DIM, rope_theta=ROPE_THETA)
    return CsmConfig(
        backbone=llama(**vars(backbone), max_positions=MAX_POSITIONS),
        # One position a codebook and the backbone's state before them.
        depth=llama(**vars(depth), max_positions=num_codebooks + 1),
        text_vocab_size=TEXT_VOCAB_SIZE,
        audio_vocab_size=codebook_size + RESERVED_CODES,
        num_codebooks=num_codebooks,
        codebook_size=codebook_size,
        token_ids=TOKEN_IDS,
    )
