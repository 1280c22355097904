"""A codec and a language model small enough to watch."""

from services.generator.model import weights
from services.generator.model.config import CsmConfig, LlamaConfig
from services.generator.model.csm import Csm
from services.tokenizer.codec.config import MimiConfig
from training.language_model import shape

CODEC = MimiConfig(
    num_filters=4,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    head_dim=8,
    sliding_window=8,
    upsample_groups=16,
    num_codebooks=3,
    codebook_size=16,
    codebook_dim=8,
)


def small(num_codebooks: int = 3) -> Csm:
    llama = LlamaConfig(
        layers=2, heads=2, kv_heads=1, head_dim=16, width=32, ffn_width=48, max_positions=64
    )
    depth = LlamaConfig(
        layers=1, heads=2, kv_heads=1, head_dim=16, width=24, ffn_width=32,
        max_positions=num_codebooks + 1,
    )  # fmt: skip
    config = CsmConfig(
        backbone=llama,
        depth=depth,
        text_vocab_size=shape.TEXT_VOCAB_SIZE,
        audio_vocab_size=CODEC.codebook_size + 3,
        num_codebooks=num_codebooks,
        codebook_size=CODEC.codebook_size,
        token_ids=shape.TOKEN_IDS,
    )
    return weights.create(config, seed=1)
