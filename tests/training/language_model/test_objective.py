"""How the losses are weighed."""

import pytest
import torch

from training.language_model.objective import Losses
from training.language_model.settings import TrainingSettings


def losses(depth: list[float]) -> Losses:
    nothing = torch.tensor(0.0)
    return Losses(
        first=torch.tensor(1.0),
        depth=torch.tensor(depth),
        phones=nothing,
        guidance=nothing,
        end=nothing,
    )


def test_the_first_acoustic_codebooks_weigh_more() -> None:
    settings = TrainingSettings(depth_weight=2.0, depth_slope=0.5)
    # 1.5, 1 and 0.5 of a third of twice the loss.
    for place, share in enumerate((1.0, 2 / 3, 1 / 3)):
        depth = [0.0, 0.0, 0.0]
        depth[place] = 3.0
        assert float(losses(depth).total(settings, 0.0)) == pytest.approx(1.0 + 3.0 * share)


def test_the_figure_of_the_acoustic_codebooks_is_their_plain_mean() -> None:
    assert losses([1.0, 2.0, 6.0]).values()["depth"] == pytest.approx(3.0)


def test_one_acoustic_codebook_has_the_whole_weight() -> None:
    settings = TrainingSettings(depth_weight=2.0)
    assert float(losses([3.0]).total(settings, 0.0)) == pytest.approx(7.0)
