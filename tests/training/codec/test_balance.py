"""What each judge of the decoder weighs."""

import pytest
import torch
from torch import Tensor

from training.codec.balance import Balance, Opinion, Patience


def gradients(balance: Balance, step: int, size: float) -> tuple[Tensor, Tensor]:
    """The gradient at audio of spectra that pull by 1 and an opinion of the last half by `size`."""
    audio = torch.ones(2, 8, requires_grad=True)
    part = slice(4, 8)
    opinion = Opinion(size * audio[:, part].sum(), 0.5, part)
    return balance.gradient(step, audio, audio.sum(), {"told": opinion}), audio


@pytest.mark.parametrize("size", [0.01, 1.0, 70.0])
def test_an_opinion_has_its_share_of_the_spectras_gradient(size: float) -> None:
    found, _ = gradients(Balance(10), 0, size)
    torch.testing.assert_close(found[:, :4], torch.ones(2, 4))
    torch.testing.assert_close(found[:, 4:], torch.full((2, 4), 1.5))


def test_sizes_are_found_anew_now_and_then() -> None:
    balance = Balance(10)
    gradients(balance, 0, 2.0)
    # Twice as large, and not looked at: it weighs twice as much.
    found, _ = gradients(balance, 9, 4.0)
    torch.testing.assert_close(found[:, 4:], torch.full((2, 4), 2.0))
    found, _ = gradients(balance, 10, 4.0)
    torch.testing.assert_close(found[:, 4:], torch.full((2, 4), 1.5))


def test_an_opinion_that_is_new_is_measured_at_once() -> None:
    found, _ = gradients(Balance(10), 3, 70.0)
    torch.testing.assert_close(found[:, 4:], torch.full((2, 4), 1.5))


def test_a_balance_for_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="balance_every: 0"):
        Balance(0)


def test_the_adversary_weighs_more_while_spectra_hold_and_less_when_they_suffer() -> None:
    patience = Patience(most=2.0, tolerance=0.02)
    scales = []
    for distance in (1.0, 1.01, 1.0, *[1.0] * 10):
        patience.heed(distance)
        scales.append(patience.scale)
    assert scales[0] > 1.0
    assert scales == sorted(scales)
    assert scales[-1] == 2.0
    patience.heed(1.05)
    assert patience.scale < 2.0
    for _ in range(20):
        patience.heed(1.05)
    assert patience.scale == 1.0


def test_patience_goes_on_where_it_was() -> None:
    patience, other = Patience(2.0, 0.02), Patience(2.0, 0.02)
    patience.heed(1.0)
    other.restore(patience.state())
    for each in (patience, other):
        each.heed(1.03)
    assert other.scale == patience.scale
    assert other.least == patience.least == 1.0


@pytest.mark.parametrize(("most", "tolerance"), [(0.5, 0.1), (2.0, -0.1)])
def test_an_impossible_patience_is_refused(most: float, tolerance: float) -> None:
    with pytest.raises(ValueError, match="is not allowed"):
        Patience(most, tolerance)
