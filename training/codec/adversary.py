"""The discriminators: networks that learn to hear what spectra do not weigh, ringing above all.

Multi-scale STFT with hinge loss and feature matching (Défossez et al. 2022, arXiv 2210.13438,
section 3.4), much narrower than there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.codec.losses import hann

_WINDOWS = (512, 1024, 2048)
_FILTERS = 16
_SLOPE = 0.2


class SpectrumDiscriminator(nn.Module):
    """Judges a complex spectrum; each layer halves the bins, time keeps its steps."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("window", hann(size))
        widths = [2, *[_FILTERS] * 2, *[2 * _FILTERS] * 2]
        self.layers = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(
                nn.Conv2d(a, b, (3, 7), (1, 2), (1, 3)),
            )
            for a, b in pairwise(widths)
        )
        self.verdict = nn.Conv2d(widths[-1], 1, (3, 3), 1, (1, 1))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`[rows, samples]` to a verdict for each time and band, and every layer's features."""
        window = self.get_buffer("window")
        size = len(window)
        spectrum = torch.fft.rfft(audio.unfold(-1, size, size // 4) * window)
        x = torch.view_as_real(spectrum).permute(0, 3, 1, 2)
        # Loud and soft on one scale: what rings is often soft.
        x = x * (x.square().sum(1, keepdim=True) + 1e-6) ** -0.25
        x = x.contiguous(memory_format=torch.channels_last)
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), _SLOPE)
            features.append(x)
        return self.verdict(x), features


@dataclass(frozen=True)
class Judgement:
    """Scalars of one hearing of real and made audio.

    `discriminator` is what the adversary pays for not telling them apart (hinge loss); `told` what
    the decoder pays for being told, and `matching` for features unlike the real ones'.
    """

    discriminator: Tensor
    told: Tensor
    matching: Tensor


class Adversary(nn.Module):
    """One discriminator a window length."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(SpectrumDiscriminator(size) for size in _WINDOWS)

    def forward(self, real: Tensor, made: Tensor) -> Judgement:
        """Hear both `[rows, samples]`, each once, for all that anybody learns from it."""
        discriminator, told, matching = (real.new_zeros(()) for _ in range(3))
        count = 0
        for part in self.parts:
            (of_real, wanted), (of_made, found) = part(real), part(made)
            of_real, of_made = of_real.float(), of_made.float()
            discriminator = discriminator + F.relu(1 - of_real).mean() + F.relu(1 + of_made).mean()
            told = told - of_made.mean()
            for want, have in zip(wanted, found, strict=True):
                want = want.detach().float()
                scale = want.abs().mean() + 1e-4
                matching = matching + (want - have.float()).abs().mean() / scale
                count += 1
        return Judgement(discriminator / len(self.parts), told / len(self.parts), matching / count)
