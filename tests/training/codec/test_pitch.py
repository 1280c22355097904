"""Pitch by autocorrelation."""

import pytest
import torch

from training.codec.pitch import pitch

RATE_HZ = 24000


def buzz(hz: float, seconds: float = 0.6) -> torch.Tensor:
    """A voice-like sum of harmonics."""
    time = torch.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return 0.05 * sum(torch.cos(2 * torch.pi * hz * k * time) / k**0.5 for k in range(1, 20))


@pytest.mark.parametrize("hz", [70.0, 101.3, 187.0, 333.0])
def test_the_pitch_of_a_voice_is_found_to_a_tenth_of_a_percent(hz: float) -> None:
    octaves, voiced = pitch(buzz(hz)[None], RATE_HZ, 480)
    inner = slice(4, -6)  # where the window is full
    assert bool(voiced[0, inner].all())
    found_hz = 100 * 2 ** octaves[0, inner]
    torch.testing.assert_close(found_hz, torch.full_like(found_hz, hz), rtol=2e-3, atol=0)


def test_a_glide_is_followed() -> None:
    time = torch.arange(RATE_HZ) / RATE_HZ
    phase = 2 * torch.pi * (120 * time + 40 * time**2)
    voice = 0.05 * sum(torch.cos(k * phase) for k in range(1, 12))
    octaves, _ = pitch(voice[None], RATE_HZ, 480)
    middles = (torch.arange(octaves.shape[1]) + 0.5) * 480 / RATE_HZ
    want_hz = 120 + 80 * middles
    found_hz = 100 * 2 ** octaves[0]
    # The period is measured over the window's length and one period to its right.
    assert float(((found_hz - want_hz) / want_hz).abs()[5:-6].max()) < 0.03


def test_noise_and_silence_have_no_voice() -> None:
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(1, RATE_HZ)
    assert float(pitch(noise, RATE_HZ, 480)[1].float().mean()) < 0.05
    assert not bool(pitch(torch.zeros(1, RATE_HZ), RATE_HZ, 480)[1].any())
    quiet = 1e-4 * buzz(150)[None]
    assert not bool(pitch(quiet, RATE_HZ, 480)[1].any())
