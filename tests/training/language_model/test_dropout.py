"""Channels are silenced while the block runs, by the seed, and nothing else changes."""

import torch

from services.generator.model.csm import Csm
from training.language_model.dropout import dropped

FRAMES = torch.randint(0, 16, (2, 9, 4), generator=torch.Generator().manual_seed(0))


def added(model: Csm, share: float, seed: int) -> list[torch.Tensor]:
    """What the first layer's attention adds in each of two passes."""
    seen: list[torch.Tensor] = []
    with dropped(model, share, seed=seed), torch.no_grad():
        product = model.backbone.layers[0].attention_out
        handle = product.register_forward_hook(lambda module, inputs, output: seen.append(output))
        for _ in range(2):
            model.hidden_states(FRAMES)
        handle.remove()
    return seen


def test_a_row_is_without_the_same_channels_at_every_position(model: Csm) -> None:
    whole = added(model, 0.0, 0)[0]
    first, second = added(model, 0.3, 0)
    silent = (first == 0).all(1)
    torch.testing.assert_close((first == 0).any(1), silent)
    assert 0.2 < silent.float().mean() < 0.4
    kept = ~silent[:, None].expand_as(whole)
    torch.testing.assert_close(first[kept], whole[kept] / 0.7)
    assert not torch.equal(silent[0], silent[1])
    assert not torch.equal(silent, (second == 0).all(1))


def test_the_same_seed_draws_the_same_channels(model: Csm) -> None:
    first, again, other = (added(model, 0.3, seed)[0] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_nothing_is_silenced_after_the_block(model: Csm) -> None:
    before = model.hidden_states(FRAMES)
    with dropped(model, 0.3, seed=0):
        assert not torch.equal(model.hidden_states(FRAMES), before)
    assert torch.equal(model.hidden_states(FRAMES), before)


def test_a_share_of_0_changes_nothing(model: Csm) -> None:
    before = model.hidden_states(FRAMES)
    with dropped(model, 0.0, seed=0):
        assert torch.equal(model.hidden_states(FRAMES), before)
