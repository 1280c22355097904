"""How far reconstructed audio is from what was spoken, by spectra at several resolutions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

# No window shorter than two periods of a low voice: it would see single pulses, whose place in time
# is not in the codes, and punish a voiced sound for every pulse out of place. The cheapest answer
# is to whisper: with windows of 128 and 256 the decoder spoke without harmonics above 600 Hz.
_MELS = {512: 48, 1024: 80, 2048: 128}
WINDOWS = tuple(_MELS)
"""Lengths of the windows in samples."""
NAMES = ("mel", "magnitude", "convergence", "whole")
"""What `SpectralLoss` returns."""
# Below this, 48 dB under speech of the corpus, silence is silence: its logarithm would rule a step.
_FLOOR = 3e-4


class SpectralLoss(nn.Module):
    """Log-mel and linear spectra at three window lengths, hop a quarter of the window.

    For each resolution: L1 of log-mel, L1 of log magnitude, and the relative error of the
    magnitudes (spectral convergence; Yamamoto et al. 2020, arXiv 1910.11480). Several mel
    resolutions, as in Kumar et al. 2023 (arXiv 2306.06546), weigh what is heard. A fourth, `whole`,
    compares each mel band's mean and spread over a row: guesses that are best moment by moment are
    too even as a whole, and that is what a voice is known by (global variance; Toda and Tokuda
    2007).
    """

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        for size, mels in _MELS.items():
            window = hann(size)
            self.register_buffer(f"window_{size}", window, persistent=False)
            bank = mel_filters(rate_hz, size, mels)
            self.register_buffer(f"mel_{size}", bank, persistent=False)

    def forward(
        self, audio: Tensor, target: Tensor, windows: tuple[int, ...] = WINDOWS
    ) -> dict[str, Tensor]:
        """Both float32 `[rows, samples]`; returns scalars `mel`, `magnitude`, `convergence`,
        `whole`.

        `windows` are the resolutions to look at, some of `WINDOWS`: a few drawn anew at every
        step teach as much as all of them, in less time.
        """
        totals = {name: audio.new_zeros(()) for name in NAMES}
        for size in windows:
            window = self.get_buffer(f"window_{size}")
            x = magnitudes(audio, window)
            with torch.no_grad():
                y = magnitudes(target, window)
            bank = self.get_buffer(f"mel_{size}")
            have, want = (x @ bank + _FLOOR).log(), (y @ bank + _FLOOR).log()
            mel = (have - want).abs().mean()
            means = (have.mean(1) - want.mean(1)).abs().mean()
            spreads = (have.std(1) - want.std(1)).abs().mean()
            error = (x - y).square().sum((1, 2)).sqrt() / y.square().sum((1, 2)).sqrt()
            totals["mel"] = totals["mel"] + mel
            totals["whole"] = totals["whole"] + means + spreads
            totals["magnitude"] = totals["magnitude"] + (x.log() - y.log()).abs().mean()
            totals["convergence"] = totals["convergence"] + error.mean()
        return {name: total / len(windows) for name, total in totals.items()}


class _Magnitudes(torch.autograd.Function):
    """Magnitudes of a short-time spectrum, with a backward pass of one real transform.

    PyTorch's own goes through a complex transform of the full length, which took twice the time
    of all the codec's convolutions.
    """

    @staticmethod
    def forward(ctx: Any, audio: Tensor, window: Tensor) -> Tensor:
        size = len(window)
        spectrum = torch.fft.rfft(audio.unfold(-1, size, size // 4) * window)
        pairs = torch.view_as_real(spectrum)
        magnitude = torch.linalg.vector_norm(pairs, dim=-1).clamp_(min=_FLOOR)
        ctx.save_for_backward(spectrum, magnitude, window)
        ctx.samples = audio.shape[-1]
        return magnitude

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        spectrum, magnitude, window = ctx.saved_tensors
        size = len(window)
        weight = gradients[0] / magnitude
        # irfft counts every bin but the first and the last twice.
        weight[..., 1:-1] *= 0.5
        frames = torch.fft.irfft(spectrum * weight, n=size, norm="forward") * window
        rows, count, _ = frames.shape
        hop = size // 4
        blocks = frames.view(rows, count, 4, hop)
        audio = frames.new_zeros(rows, -(-ctx.samples // hop), hop)
        for quarter in range(4):
            audio[:, quarter : quarter + count] += blocks[:, :, quarter]
        return audio.view(rows, -1)[:, : ctx.samples], None


def hann(size: int) -> Tensor:
    """Hann's window of `size` samples, scaled so that noise is as large at every length."""
    return torch.hann_window(size) * (2.0 / math.sqrt(size))


def magnitudes(audio: Tensor, window: Tensor) -> Tensor:
    """`[rows, samples]` to `[rows, windows, len(window) / 2 + 1]`, at least a small floor."""
    result: Tensor = _Magnitudes.apply(audio, window)
    return result


def mel_filters(rate_hz: int, size: int, mels: int) -> Tensor:
    """Triangles evenly spaced on the mel scale (O'Shaughnessy's), `[size / 2 + 1, mels]`."""
    top = 2595.0 * math.log10(1.0 + rate_hz / 2 / 700.0)
    edges = 700.0 * (10 ** (torch.linspace(0.0, top, mels + 2) / 2595.0) - 1.0)
    bins = torch.linspace(0.0, rate_hz / 2, size // 2 + 1)
    # A triangle narrower than a bin would be empty.
    width = rate_hz / size
    rise = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2]).clamp(min=width)
    fall = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1]).clamp(min=width)
    bank = torch.minimum(rise, fall).clamp(min=0.0)
    return bank / bank.sum(0, keepdim=True).clamp(min=1e-3)
