"""Pitch of clean speech by autocorrelation: a second thing, after phones, that codes shall hold.

The decoder finds harmonics far sooner when what it reads tells the pitch plainly; so a linear
classifier's worth of pitch is asked of the quantized latents in training, and dropped afterwards.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LOWEST_HZ, HIGHEST_HZ = 60.0, 400.0
_WINDOW_S = 0.05
# A correlation that tells a voice from noise, and how near to the best a shorter period must come
# to be preferred: two periods correlate as well as one.
_VOICED = 0.6
_NEARLY = 0.92


def pitch(audio: Tensor, rate_hz: int, hop: int) -> tuple[Tensor, Tensor]:
    """Pitch around the middle of every `hop` samples of `audio` `[rows, samples]`.

    Returns octaves above 100 Hz, float32 `[rows, samples // hop]`, and where there is a voice,
    bool; octaves mean nothing elsewhere.
    """
    count = audio.shape[1] // hop
    window = round(_WINDOW_S * rate_hz)
    shortest, longest = int(rate_hz / HIGHEST_HZ), round(rate_hz / LOWEST_HZ)
    reach = window + longest
    start = (reach - hop) // 2
    padded = F.pad(audio, (start, reach))
    spans = padded.unfold(-1, reach, hop)[:, :count]
    head = spans[..., :window]
    size = 1 << (reach + window - 1).bit_length()
    product = torch.fft.rfft(spans, size) * torch.fft.rfft(head, size).conj()
    correlation = torch.fft.irfft(product, size)[..., : longest + 1]
    energy = F.pad(spans.square().cumsum(-1), (1, 0))
    lagged = energy[..., window : window + longest + 1] - energy[..., : longest + 1]
    normal = correlation / (lagged * lagged[..., :1]).clamp(min=1e-8).sqrt()
    candidates = normal[..., shortest:]
    peak = candidates.amax(-1, keepdim=True)
    inner = candidates[..., 1:-1]
    is_top = (inner >= candidates[..., :-2]) & (inner >= candidates[..., 2:])
    good = is_top & (inner >= _NEARLY * peak)
    lag = good.float().argmax(-1) + shortest + 1
    around = torch.stack([lag - 1, lag, lag + 1], dim=-1)
    left, middle, right = normal.gather(-1, around).unbind(-1)
    bend = (left - 2 * middle + right).clamp(max=-1e-6)
    period = lag + (0.5 * (left - right) / bend).clamp(-0.5, 0.5)
    loud = lagged[..., 0] > 1e-4 * window
    voiced = good.any(-1) & (peak[..., 0] > _VOICED) & loud
    return torch.log2(rate_hz / period / 100.0), voiced
