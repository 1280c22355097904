"""The discriminators: networks that learn to hear what spectra do not weigh, ringing above all.

Multi-scale STFT with hinge loss and feature matching (Défossez et al. 2022, arXiv 2210.13438,
section 3.4), much narrower than there.
"""

from __future__ import annotations

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


class Adversary(nn.Module):
    """One discriminator a window length."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(SpectrumDiscriminator(size) for size in _WINDOWS)

    def discriminator_loss(self, real: Tensor, made: Tensor) -> Tensor:
        """Hinge loss of telling `real` from `made` audio, both `[rows, samples]`."""
        total = real.new_zeros(())
        for part in self.parts:
            verdict, _ = part(torch.cat([real, made.detach()]))
            of_real, of_made = verdict.float().chunk(2)
            total = total + F.relu(1 - of_real).mean() + F.relu(1 + of_made).mean()
        return total / len(self.parts)

    def generator_loss(self, real: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """What the codec pays: for being told apart, and for features unlike the real ones'."""
        told = real.new_zeros(())
        matching = real.new_zeros(())
        for part in self.parts:
            with torch.no_grad():
                _, wanted = part(real)
            verdict, features = part(made)
            told = told - verdict.float().mean()
            for want, have in zip(wanted, features, strict=True):
                scale = want.float().abs().mean() + 1e-4
                matching = matching + (want.float() - have.float()).abs().mean() / scale
        return told / len(self.parts), matching / (len(self.parts) * len(features))


def balanced(gradients: list[Tensor], shares: list[float]) -> Tensor:
    """Add gradients at the audio so that each has its share of the first one's size.

    Without it the adversary's gradient, tens of times the spectra's, decides every step (the
    balancer of arXiv 2210.13438, section 3.4).
    """
    size = gradients[0].norm()
    total = gradients[0] * shares[0]
    for gradient, share in zip(gradients[1:], shares[1:], strict=True):
        total = total + gradient * (share * size / (gradient.norm() + 1e-12))
    return total
