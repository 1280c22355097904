"""The sizes of pico's codec."""

from __future__ import annotations

from services.tokenizer.codec.config import MimiConfig


def pico() -> MimiConfig:
    """A Mimi of 24 kHz and 12.5 frames a second that two cores can train and run."""
    return MimiConfig(
        num_filters=16,
        num_residual_layers=3,
        residual_kernel_size=7,
        dilation_growth_rate=3,
        upsampling_ratios=(8, 6, 5, 4),
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=64,
        sliding_window=32,
        layer_scale_initial_scale=0.1,
        upsample_groups=256,
        num_codebooks=7,
        codebook_size=1024,
        codebook_dim=128,
    )
