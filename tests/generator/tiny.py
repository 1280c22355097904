"""A tiny random CSM, real in every part."""

import torch

from services.generator.model import weights
from services.generator.model.config import CsmConfig, LlamaConfig
from services.generator.model.csm import Csm


def tiny_csm(
    dtype: torch.dtype = torch.float32, *, max_positions: int = 256, head_dim: int = 8
) -> Csm:
    """Two layers of width 48, five codebooks of 61 codes."""
    return weights.create(
        CsmConfig(
            backbone=LlamaConfig(
                layers=2, heads=6, kv_heads=2, width=48, ffn_width=80, head_dim=head_dim,
                max_positions=max_positions, rope_theta=10_000.0,
            ),
            depth=LlamaConfig(
                layers=2, heads=3, kv_heads=1, width=24, ffn_width=40, head_dim=8,
                max_positions=6, rope_theta=10_000.0,
            ),
            text_vocab_size=300,
            audio_vocab_size=64,
            num_codebooks=5,
            codebook_size=61,
        ),
        seed=11,
        dtype=dtype,
    )  # fmt: skip
