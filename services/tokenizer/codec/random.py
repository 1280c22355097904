"""Random weights of a sensible scale, for tests, benchmarks and the start of a training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from services.tokenizer.codec.config import MimiConfig
from services.tokenizer.codec.conv import CausalConv1d
from services.tokenizer.codec.mimi import Mimi
from services.tokenizer.codec.quantizer import ResidualQuantizer


@torch.no_grad()
def create(config: MimiConfig, *, seed: int = 0) -> Mimi:
    """A codec of random weights, the same for the same seed, for tests and benchmarks.

    Weights keep the scale of what passes through, and the codebooks are drawn around the latents
    of a second of noise, so that codes vary and audio is neither silent nor enormous.
    """
    generator = torch.Generator().manual_seed(seed)
    mimi = Mimi(config).eval()
    for module in mimi.modules():
        if isinstance(module, CausalConv1d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.normal_(0.0, 1.0 / math.sqrt(fan_in), generator=generator)
            if module.bias is not None:
                module.bias.normal_(0.0, 0.02, generator=generator)
    noise = torch.randn(
        1,
        config.audio_channels,
        round(config.frame_rate_hz) * config.frame_samples,
        generator=generator,
    )
    latents = mimi.latents(mimi.pad(noise * 0.1))
    for quantizer in (mimi.quantizer.semantic, mimi.quantizer.acoustic):
        _draw_codebooks(quantizer, latents, generator)
    return mimi


def _draw_codebooks(
    quantizer: ResidualQuantizer, latents: Tensor, generator: torch.Generator
) -> None:
    """Codebooks on the scale of the residual each is going to see."""
    residual = quantizer.project(latents).flatten(0, 1)
    books = torch.empty_like(quantizer.codebooks)
    for book in books:
        mean, spread = residual.mean(0), residual.std()
        book.normal_(0.0, 1.0, generator=generator).mul_(0.5 * spread).add_(mean)
        nearest = torch.cdist(residual, book).argmin(-1)
        residual = residual - book[nearest]
    quantizer.set_codebooks(books)
