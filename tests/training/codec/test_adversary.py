"""The discriminators."""

import torch

from training.codec.adversary import Adversary


def test_one_hearing_serves_the_adversary_and_the_decoder() -> None:
    torch.manual_seed(0)
    adversary = Adversary()
    real = 0.1 * torch.randn(2, 6000)
    made = (0.1 * torch.randn(2, 6000)).requires_grad_(True)
    judged = adversary(real, made)
    # Untrained, it is unsure of both.
    assert 1.0 < float(judged.discriminator.detach()) < 3.0
    assert float(judged.matching.detach()) > 0
    lessons = torch.autograd.grad(
        judged.discriminator, list(adversary.parameters()), retain_graph=True
    )
    # The last layers' biases are pulled both ways alike.
    assert sum(bool((lesson != 0).any()) for lesson in lessons) >= len(lessons) - 3
    for value in (judged.told, judged.matching):
        (gradient,) = torch.autograd.grad(value, made, retain_graph=True)
        assert bool((gradient != 0).any())


def test_equal_audio_matches_and_is_not_told_apart() -> None:
    torch.manual_seed(0)
    audio = 0.1 * torch.randn(2, 6000)
    judged = Adversary()(audio, audio)
    assert float(judged.matching.detach()) == 0.0
    assert float(judged.discriminator.detach()) >= 2.0


def test_it_learns_to_tell_noise_from_tones() -> None:
    torch.manual_seed(0)
    adversary = Adversary()
    time = torch.arange(6000) / 24000
    optimizer = torch.optim.AdamW(adversary.parameters(), lr=2e-3)
    losses = []
    for _ in range(30):
        tones = 0.1 * torch.sin(2 * torch.pi * (200 + 400 * torch.rand(2, 1)) * time)
        judged = adversary(tones, 0.1 * torch.randn(2, 6000))
        optimizer.zero_grad()
        judged.discriminator.backward()
        optimizer.step()
        losses.append(float(judged.discriminator.detach()))
    assert losses[-1] < 0.3 * losses[0]
