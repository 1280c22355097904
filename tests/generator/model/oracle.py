"""Small odd shapes of CSM, and transformers' CSM on the very memory of one of ours."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from transformers import CsmForConditionalGeneration

from benchmarks.hugging_face import codec_config as codec_config
from benchmarks.hugging_face import oracle as oracle
from services.generator.model.config import CsmConfig, LlamaConfig, RopeScaling, TokenIds

STRONG_SCALING = RopeScaling(8.0, 1.0, 4.0, 48)
"""Stretches wavelengths of 12 to 48 positions on, so that a short prompt shows it."""

_llama = partial(LlamaConfig, max_positions=160)

FIVE_BOOKS = CsmConfig(
    backbone=_llama(layers=3, heads=6, kv_heads=2, width=40, head_dim=12, ffn_width=72),
    depth=_llama(layers=2, heads=3, kv_heads=3, width=36, head_dim=10, ffn_width=52),
    text_vocab_size=50,
    audio_vocab_size=67,
    num_codebooks=5,
    codebook_size=64,
    token_ids=TokenIds(1, 2, 0, 48, 49),
)
"""Odd widths, groups of three queries, plain RoPE at 500000."""

SCALED = CsmConfig(
    backbone=_llama(
        layers=2, heads=9, kv_heads=3, width=30, head_dim=8, ffn_width=56,
        rope_scaling=STRONG_SCALING,
    ),
    depth=_llama(
        layers=3, heads=4, kv_heads=1, width=22, head_dim=6, ffn_width=34,
        rope_theta=10_000.0, rope_scaling=RopeScaling(4.0, 1.0, 4.0, 12),
    ),
    text_vocab_size=33,
    audio_vocab_size=35,
    num_codebooks=7,
    codebook_size=32,
    token_ids=TokenIds(1, 2, 0, 31, 32),
)  # fmt: skip
"""Three kv groups, Llama 3's scaling in both stacks, nothing a multiple of sixteen."""

ODD_CONFIGS = {"five_books": FIVE_BOOKS, "scaled": SCALED}


def their_greedy(
    theirs: CsmForConditionalGeneration, ids: list[int], frames: int, **audio: torch.Tensor
) -> torch.Tensor:
    """Return transformers' own greedy frames, int64 [frames, num_codebooks], EOS frame included."""
    input_ids = torch.tensor([ids])
    # Codes the codec lacks are masked in ours; here the oracle is told the same.
    size, vocab = theirs.config.codec_config.codebook_size, theirs.config.vocab_size
    reserved = list(range(size, vocab))
    theirs.depth_decoder.generation_config.suppress_tokens = reserved
    return theirs.generate(
        input_ids=input_ids,
        attention_mask=torch.ones_like(input_ids),
        do_sample=False,
        depth_decoder_do_sample=False,
        max_new_tokens=frames,
        suppress_tokens=reserved,
        eos_token_id=None,
        pad_token_id=0,
        **audio,
    )[0]


def random_frames(config: CsmConfig, generator: np.random.Generator) -> np.ndarray:
    """Return a prompt of two segments with audio and a last text, int64 [positions, books + 1]."""
    from services.generator.model.prompt import audio_frames, text_frames

    def text(count: int) -> np.ndarray:
        return text_frames(generator.integers(0, config.text_vocab_size, count), books)

    def audio(count: int) -> np.ndarray:
        codes = generator.integers(0, config.codebook_size, (count, books))
        return audio_frames(codes, books)

    books = config.num_codebooks
    return np.concatenate((text(7), audio(11), text(4), audio(6), text(9)))
