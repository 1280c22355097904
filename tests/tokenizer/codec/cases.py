"""Codecs to test with, and the comparison of codes that tells a tie from a fault."""

from __future__ import annotations

import torch
from torch import Tensor

from services.tokenizer.codec import Mimi, MimiConfig
from services.tokenizer.codec.quantizer import ResidualQuantizer

# Two codewords this close, relative to their distances, may swap with the rounding of a sum.
TIE = 1e-4

# The published sizes; a LayerScale of 0.01 would hide the transformers from every comparison.
FULL = MimiConfig(layer_scale_initial_scale=0.3)
# Odd in everything: 5 codebooks of which 2 semantic, three ratios, an odd window.
FIVE = MimiConfig(
    num_filters=8,
    num_residual_layers=2,
    upsampling_ratios=(4, 5, 3),
    kernel_size=5,
    last_kernel_size=5,
    residual_kernel_size=5,
    dilation_growth_rate=3,
    compress=4,
    hidden_size=32,
    intermediate_size=72,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=4,
    head_dim=8,
    sliding_window=7,
    layer_scale_initial_scale=0.5,
    upsample_groups=32,
    num_codebooks=5,
    num_semantic_codebooks=2,
    codebook_size=64,
    codebook_dim=16,
)
# Grouped keys, a convolution as the skip, ratios that do not divide the rate (16000 / 6).
NINE = MimiConfig(
    sampling_rate_hz=16000,
    num_filters=12,
    upsampling_ratios=(2, 3),
    hidden_size=48,
    intermediate_size=40,
    num_hidden_layers=5,
    num_attention_heads=6,
    num_key_value_heads=2,
    head_dim=8,
    rope_theta=500.0,
    sliding_window=13,
    layer_scale_initial_scale=0.5,
    use_conv_shortcut=True,
    upsample_groups=48,
    num_codebooks=9,
    codebook_size=128,
    codebook_dim=12,
)
# What only Hugging Face's layout can say.
BIASED = MimiConfig(
    num_filters=4,
    upsampling_ratios=(3, 2),
    pad_mode="replicate",
    hidden_size=24,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=1,
    head_dim=10,
    hidden_act="silu",
    attention_bias=True,
    sliding_window=5,
    layer_scale_initial_scale=0.5,
    upsample_groups=12,
    num_codebooks=4,
    codebook_size=32,
    codebook_dim=24,
)


def noise(rows: int, samples: int, seed: int = 1) -> Tensor:
    """Audio `[rows, 1, samples]` that no two frames share."""
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(rows, 1, samples, generator=generator)


def random_codes(config: MimiConfig, rows: int, frames: int, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, config.num_codebooks, frames)
    return torch.randint(config.codebook_size, shape, generator=generator)


def assert_same_codes(mimi: Mimi, audio: Tensor, ours: Tensor, theirs: Tensor) -> int:
    """Both codes `[rows, codebooks, frames]` of `audio` are equal, but for proven ties.

    Where they differ, the first differing codebook of that frame must have both codewords equally
    near to what was left to quantize; the codebooks after it then quantize different residuals.
    Returns the number of ties, which may be at most one in a hundred frames (at least one).
    """
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == torch.int64
    split = mimi.config.num_semantic_codebooks
    with torch.no_grad():
        latents = mimi.latents(mimi.pad(audio))
    ties = 0
    for quantizer, part in (
        (mimi.quantizer.semantic, slice(None, split)),
        (mimi.quantizer.acoustic, slice(split, None)),
    ):
        ties += _ties(quantizer, latents, ours[:, part], theirs[:, part])
    assert ties <= max(1, ours.shape[0] * ours.shape[2] // 100), f"{ties} ties are too many"
    return ties


def _ties(quantizer: ResidualQuantizer, latents: Tensor, ours: Tensor, theirs: Tensor) -> int:
    with torch.no_grad():
        residuals = quantizer.project(latents).double()
    frames = (ours != theirs).any(1).nonzero().tolist()
    for row, frame in frames:
        first = int((ours[row, :, frame] != theirs[row, :, frame]).nonzero()[0])
        left = residuals[row, frame].clone()
        for level in range(first):
            left -= quantizer.codebooks[level, ours[row, level, frame]].double()
        book = quantizer.codebooks[first].double()
        near = (left - book[ours[row, first, frame]]).norm()
        other = (left - book[theirs[row, first, frame]]).norm()
        gap = float((near - other).abs() / near)
        assert gap < TIE, f"row {row}, frame {frame}, codebook {first}: no tie, gap {gap:.1e}"
    return len(frames)
