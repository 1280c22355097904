"""Spectral losses."""

import torch

from training.codec.losses import WINDOWS, SpectralLoss, magnitudes, mel_filters


def test_magnitudes_are_those_of_torch_and_so_are_their_gradients() -> None:
    torch.manual_seed(0)
    window = torch.hann_window(128, dtype=torch.float64)
    audio = torch.randn(2, 700, dtype=torch.float64, requires_grad=True)
    ours = magnitudes(audio, window)
    theirs = torch.stft(audio, 128, 32, window=window, center=False, return_complex=True).abs()
    torch.testing.assert_close(ours, theirs.transpose(1, 2))
    weights = torch.randn_like(ours)
    (mine,) = torch.autograd.grad((ours * weights).sum(), audio, retain_graph=True)
    (reference,) = torch.autograd.grad((theirs.transpose(1, 2) * weights).sum(), audio)
    torch.testing.assert_close(mine, reference)


def test_equal_audio_costs_nothing_and_other_audio_does() -> None:
    torch.manual_seed(0)
    loss = SpectralLoss(24000)
    audio = torch.randn(2, 4800) * 0.1
    assert all(float(v) == 0.0 for v in loss(audio, audio).values())
    near = loss(audio + 0.01 * torch.randn_like(audio), audio)
    far = loss(audio + 0.1 * torch.randn_like(audio), audio)
    assert all(0.0 < float(near[name]) < float(far[name]) for name in near)


def test_the_windows_asked_for_are_the_ones_used() -> None:
    torch.manual_seed(0)
    loss = SpectralLoss(24000)
    audio, other = torch.randn(2, 1, 4800) * 0.1
    alone = [float(loss(audio, other, (size,))["mel"]) for size in WINDOWS]
    together = float(loss(audio, other)["mel"])
    assert abs(together - sum(alone) / len(alone)) < 1e-5


def test_silence_has_finite_gradients() -> None:
    loss = SpectralLoss(24000)
    audio = torch.zeros(1, 4800, requires_grad=True)
    sum(loss(audio, torch.randn(1, 4800)).values()).backward()
    assert audio.grad is not None
    assert bool(torch.isfinite(audio.grad).all())


def test_every_mel_band_hears_something() -> None:
    for size, mels in ((128, 12), (2048, 128)):
        bank = mel_filters(24000, size, mels)
        assert bank.shape == (size // 2 + 1, mels)
        assert bool((bank.sum(0) > 0.5).all())
