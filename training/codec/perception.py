"""How differently two clips are heard: loudness in critical bands, and the course of each band.

Spectra weigh every hertz or every mel alike. An ear hears loudness, not level, does not hear what
is masked, minds what was added more than what is missing; and understands by how the bands rise
and fall over a third of a second. These are models of that, differentiable and simplified, not the
measures that the evaluation takes (`training.evaluate.quality`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.codec.losses import hann, magnitudes

# Speech at the ear, dB SPL between these frequencies, whatever the level of the clip: what lies
# below, much of a voice's power, is hardly heard. With the level of all bands the figure followed
# PESQ-WB half as well over 120 round trips (correlation 0.4, so 0.7).
_SPEECH_DB, _LEVEL_HZ = 92.0, (350.0, 3250.0)
_LOUDNESS_POWER, _SONES, _MASKED = 0.23, 0.1866, 0.25
# 0.32 s, the windows lying a quarter apart.
_MOMENT_WINDOWS, _MOST = 40, 45.0
_DECIBELS_DOWN = 40.0
_LEAST_SDR_DB = -15.0


class Perception(nn.Module):
    """Loudness differences and envelope correlations, on windows of 32 and 25 ms.

    Rows of audio are float32 `[rows, samples]`, of one timing.
    """

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        size = round(0.032 * rate_hz / 4) * 4
        self.register_buffer("loudness_window", hann(size), persistent=False)
        bands, centres_hz = bark_bands(rate_hz, size, 80.0, 8000.0, 60)
        self.register_buffer("bark", bands, persistent=False)
        level = (centres_hz > _LEVEL_HZ[0]) & (centres_hz < _LEVEL_HZ[1])
        self.register_buffer("level_bands", level, persistent=False)
        threshold = 10 ** (hearing_threshold_db(centres_hz) / 10)
        self.register_buffer("threshold", threshold, persistent=False)
        # Padded to twice its length: a third of an octave is narrower than a bin otherwise.
        length = round(0.025 * rate_hz / 4) * 4
        padded = torch.zeros(2 * length)
        padded[length // 2 : length // 2 + length] = torch.hann_window(length)
        self.register_buffer("envelope_window", padded, persistent=False)
        thirds = third_octaves(rate_hz, 2 * length, 150.0, 15)
        self.register_buffer("thirds", thirds, persistent=False)
        self._segment = round(0.384 * rate_hz / (length // 2))

    def forward(self, audio: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return scalars `loudness` and `envelopes`, both zero for equal clips."""
        return {
            "loudness": self.loudness(audio, target),
            "envelopes": self.envelopes(audio, target),
        }

    def loudness(self, audio: Tensor, target: Tensor) -> Tensor:
        """Differences of loudness that are not masked, added up as in ITU-T P.862.

        Both at one level, and brought together moment by moment. Zwicker's law with the exponent of
        P.862; a quarter of the softer loudness masks; what was added counts by how much louder a
        band became, from three times on. Over the bands the second norm (what was added: the
        first), over 0.32 s the sixth, over those the second.
        """
        with torch.no_grad():
            wanted = self._power(target)
            want = self._loudness(wanted)
        made = self._power(audio)
        gain = (wanted.sum(-1) + 5e3) / (made.sum(-1) + 5e3)
        made = made * gain.clamp(3e-4, 5.0)[..., None]
        have = self._loudness(made)
        apart = (have - want).abs()
        apart = (apart - _MASKED * torch.minimum(have, want)).clamp(min=0.0)
        with torch.no_grad():
            added = ((made + 50.0) / (wanted + 50.0)) ** 1.2
            added = torch.where(added < 3.0, 0.0, added.clamp(max=12.0))
        # Bark's scale has 20 bands up to 8 kHz, whatever the number of ours.
        both = 20.0 * (apart.square().mean(-1) + 1e-8).sqrt()
        more = 20.0 * (apart * added).mean(-1)
        return 0.1 * _over_time(both) + 0.0309 * _over_time(more)

    def _power(self, audio: Tensor) -> Tensor:
        """Power in critical bands, `[rows, windows, bands]`, where speech has its level."""
        spectrum = magnitudes(audio, self.get_buffer("loudness_window"))
        power = spectrum.square() @ self.get_buffer("bark")
        speech = power[..., self.get_buffer("level_bands")].sum(-1).mean(-1)
        return power * (10 ** (_SPEECH_DB / 10) / (speech[:, None, None] + 1e-6))

    def _loudness(self, power: Tensor) -> Tensor:
        threshold = self.get_buffer("threshold")
        law = _SONES * (2.0 * threshold) ** _LOUDNESS_POWER
        return law * ((0.5 + 0.5 * power / threshold) ** _LOUDNESS_POWER - 1.0).clamp(min=0.0)

    def envelopes(self, audio: Tensor, target: Tensor) -> Tensor:
        """One minus the correlation of third-octave envelopes over 0.384 s of speech.

        Short-time objective intelligibility (Taal, Hendriks, Heusdens and Jensen 2011, IEEE TASLP
        19(7)): windows 40 dB under the loudest are left out, each stretch of a band is brought to
        the target's energy and no more than 15 dB above it.
        """
        window, bank = self.get_buffer("envelope_window"), self.get_buffer("thirds")
        with torch.no_grad():
            spectrum = magnitudes(target, window)
            power = spectrum.square().sum(-1)
            speech = power > power.amax(-1, keepdim=True) * 10 ** (-_DECIBELS_DOWN / 10)
            want = (spectrum.square() @ bank).sqrt()
        have = (magnitudes(audio, window).square() @ bank + 1e-8).sqrt()
        found = [
            self._correlation(x[where], y[where])
            for x, y, where in zip(have, want, speech, strict=True)
            if int(where.sum()) >= self._segment
        ]
        return 1.0 - torch.stack(found).mean() if found else 0.0 * audio.sum()

    def _correlation(self, have: Tensor, want: Tensor) -> Tensor:
        x, y = (each.unfold(0, self._segment, 4) for each in (have, want))
        scale = y.norm(dim=-1, keepdim=True) / (x.norm(dim=-1, keepdim=True) + 1e-6)
        x = torch.minimum(x * scale, y * (1.0 + 10 ** (-_LEAST_SDR_DB / 20)))
        x, y = (each - each.mean(-1, keepdim=True) for each in (x, y))
        return ((x * y).sum(-1) / ((x.norm(dim=-1) + 1e-6) * (y.norm(dim=-1) + 1e-6))).mean()


def _over_time(apart: Tensor) -> Tensor:
    """Sixth norm over 0.32 s, second over a row, of `[rows, windows]`; the mean of the rows.

    A window that is all wrong counts no more than P.862 lets it: noise that was added to most
    windows of a row hid what the others had (its cut moved this figure by a fifth, and PESQ not at
    all).
    """
    span = min(_MOMENT_WINDOWS, apart.shape[-1])
    moments = apart.clamp(max=_MOST).unfold(-1, span, max(1, span // 2))
    return ((moments.pow(6).mean(-1) + 1e-12).pow(1 / 6).square().mean(-1)).sqrt().mean()


def bark_bands(
    rate_hz: int, size: int, low_hz: float, high_hz: float, count: int
) -> tuple[Tensor, Tensor]:
    """Bands of equal width on the Bark scale, float `[size / 2 + 1, count]`, and their centres.

    A band narrower than a bin takes its share of it. Traunmüller 1990, JASA 88(1): z = 26.81 f /
    (1960 + f) - 0.53.
    """
    low, high = (26.81 * f / (1960.0 + f) - 0.53 for f in (low_hz, high_hz))
    z = torch.linspace(low, high, 2 * count + 1, dtype=torch.float64)
    hz = 1960.0 * (z + 0.53) / (26.28 - z)
    return _shares(rate_hz, size, hz[0:-1:2], hz[2::2]), hz[1::2].float()


def third_octaves(rate_hz: int, size: int, first_hz: float, count: int) -> Tensor:
    """Bands of a third of an octave from the one about `first_hz`, `[size / 2 + 1, count]`."""
    centres = first_hz * 2 ** (torch.arange(count, dtype=torch.float64) / 3)
    return _shares(rate_hz, size, centres * 2 ** (-1 / 6), centres * 2 ** (1 / 6))


def hearing_threshold_db(hz: Tensor) -> Tensor:
    """The softest tone heard in quiet, dB SPL (Terhardt 1979, Hearing Research 1)."""
    khz = hz / 1000.0
    return 3.64 * khz**-0.8 - 6.5 * torch.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4


def _shares(rate_hz: int, size: int, low_hz: Tensor, high_hz: Tensor) -> Tensor:
    """How much of each bin's width lies in each band."""
    width = rate_hz / size
    middles = torch.arange(size // 2 + 1, dtype=torch.float64)[:, None] * width
    top = torch.minimum(middles + width / 2, high_hz)
    return ((top - torch.maximum(middles - width / 2, low_hz)) / width).clamp(min=0.0).float()
