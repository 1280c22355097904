"""Models of hearing beside the measures they stand for."""

import numpy as np
import pytest
import torch

from training.codec.perception import (
    Perception,
    bark_bands,
    hearing_threshold_db,
    third_octaves,
)

RATE_HZ = 24_000


def voiced(seconds: float = 2.0, seed: int = 0) -> torch.Tensor:
    """Harmonics whose bands rise and fall by themselves, float32 [1, samples]."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    sound = np.zeros_like(time)
    for harmonic in range(1, 40):
        swell = 1.0 + np.sin(2 * np.pi * random.uniform(2, 8) * time + random.uniform(0, 6))
        sound += swell * np.sin(2 * np.pi * 150 * harmonic * time) / harmonic
    return torch.from_numpy(0.05 * sound).float()[None]


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(RATE_HZ)


def test_equal_clips_are_heard_as_equal(perception: Perception) -> None:
    sound = voiced()
    figures = perception(sound, sound)
    assert float(figures["loudness"]) < 2e-3
    assert abs(float(figures["envelopes"])) < 1e-3


@pytest.mark.parametrize("snr_db", [15.0, 5.0, -5.0])
def test_envelopes_are_what_stoi_measures(perception: Perception, snr_db: float) -> None:
    pystoi = pytest.importorskip("pystoi")
    torch.manual_seed(0)
    sound = voiced()
    noise = torch.randn_like(sound) * sound.std() * 10 ** (-snr_db / 20)
    measured = pystoi.stoi(sound[0].numpy(), (sound + noise)[0].numpy(), RATE_HZ)
    ours = 1.0 - float(perception.envelopes(sound + noise, sound))
    assert measured < 0.97
    assert ours == pytest.approx(measured, abs=0.03)


def test_noise_is_louder_than_its_absence(perception: Perception) -> None:
    torch.manual_seed(0)
    sound = voiced()
    noisy = sound + 0.003 * torch.randn_like(sound)
    added = float(perception.loudness(noisy, sound))
    missing = float(perception.loudness(sound, noisy))
    assert added > 1.3 * missing > 0.0


def test_loudness_grows_with_the_noise(perception: Perception) -> None:
    torch.manual_seed(0)
    sound, noise = voiced(), torch.randn(1, 2 * RATE_HZ)
    found = [float(perception.loudness(sound + a * noise, sound)) for a in (1e-3, 3e-3, 1e-2)]
    assert found == sorted(found)
    assert found[2] > 1.5 * found[0]


def test_a_clip_as_a_whole_may_be_softer(perception: Perception) -> None:
    torch.manual_seed(0)
    sound = voiced()
    noisy = sound + 0.003 * torch.randn_like(sound)
    softer = float(perception.loudness(0.5 * sound, sound))
    assert softer < 0.1 * float(perception.loudness(noisy, sound))
    assert float(perception.envelopes(0.5 * sound, sound)) < 1e-3


def test_silence_has_finite_gradients(perception: Perception) -> None:
    for made, target in (
        (torch.zeros(1, RATE_HZ), voiced(1.0)),
        (voiced(1.0), torch.zeros(1, RATE_HZ)),
        (torch.zeros(2, RATE_HZ), torch.zeros(2, RATE_HZ)),
    ):
        leaf = made.clone().requires_grad_(True)
        figures = perception(leaf, target)
        sum(figures.values()).backward()
        assert leaf.grad is not None
        assert bool(torch.isfinite(leaf.grad).all())


def test_a_clip_shorter_than_a_stretch_has_no_envelopes(perception: Perception) -> None:
    sound = voiced(0.3)
    leaf = (0.5 * sound).requires_grad_(True)
    (gradient,) = torch.autograd.grad(perception.envelopes(leaf, sound), leaf)
    assert not bool(gradient.any())


def test_going_down_the_gradient_is_heard(perception: Perception) -> None:
    torch.manual_seed(0)
    sound = voiced(1.0)
    for name in ("loudness", "envelopes"):
        leaf = (sound + 0.01 * torch.randn_like(sound)).requires_grad_(True)
        before = perception(leaf, sound)[name]
        (gradient,) = torch.autograd.grad(before, leaf)
        step = 1e-3 * leaf.detach().norm() * gradient / gradient.norm()
        assert float(perception((leaf - step).detach(), sound)[name]) < float(before.detach())


def test_bands_share_the_bins_between_them() -> None:
    bank, centres_hz = bark_bands(RATE_HZ, 768, 80.0, 8000.0, 60)
    width = RATE_HZ / 768
    assert bank.sum() * width == pytest.approx(8000.0 - 80.0, rel=1e-4)
    assert bool((bank.sum(1) <= 1 + 1e-6).all())
    assert bool((centres_hz.diff() > 0).all())
    thirds = third_octaves(RATE_HZ, 1200, 150.0, 15)
    widths = thirds.sum(0) * RATE_HZ / 1200
    assert torch.allclose(widths[1:] / widths[:-1], torch.tensor(2 ** (1 / 3)), rtol=1e-3)


def test_the_ear_is_keenest_about_three_kilohertz() -> None:
    hz = torch.tensor([100.0, 1000.0, 3300.0, 8000.0])
    threshold = hearing_threshold_db(hz)
    assert threshold.argmin() == 2
    assert threshold.tolist() == pytest.approx([22.95, 3.37, -5.0, 4.03], abs=2.0)
