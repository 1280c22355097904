"""The attention seen from outside is the attention the model computes."""

import math

import pytest
import torch

from services.generator.model.csm import Csm
from training.language_model import guidance


def frames() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 16, (2, 9, 4), generator=generator)


def test_scores_give_the_heads_own_output(model: Csm) -> None:
    layer = guidance.guided_layers(6)[0]
    attended: list[torch.Tensor] = []
    block = model.backbone.layers[layer]
    handle = block.attention_out.register_forward_hook(
        lambda module, inputs, output: attended.append(inputs[0])
    )
    with guidance.watched(model, [layer]) as seen:
        model.hidden_states(frames())
    handle.remove()
    scores = guidance.attention_scores(model, seen[layer])
    mask = torch.ones(9, 9, dtype=torch.bool).tril()
    weights_ = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    values = seen[layer].view(2, 9, -1, 64)[:, :, 6 + 2 + guidance.HEAD // 3]
    wanted = attended[0].view(2, 9, 6, 64)[:, :, guidance.HEAD]
    torch.testing.assert_close(weights_ @ values, wanted, atol=1e-5, rtol=1e-4)


def test_nothing_is_watched_after_the_block(model: Csm) -> None:
    with guidance.watched(model, (2, 3)) as seen:
        model.hidden_states(frames())
    assert set(seen) == {2, 3}
    seen.clear()
    model.hidden_states(frames())
    assert not seen


def test_loss_is_the_attention_in_the_wanted_places(model: Csm) -> None:
    with guidance.watched(model, (2,)) as seen:
        model.hidden_states(frames())
    scores = guidance.attention_scores(model, seen[2])
    row, query, low, high = 1, 6, 2, 4
    share = scores[row, query, : query + 1].softmax(-1)[low : high + 1].sum()
    found = guidance.loss(model, seen, torch.tensor([row * 9 + query]), torch.tensor([[low, high]]))
    assert found.item() == pytest.approx(-math.log(share.item()), rel=1e-4)
    # All that may be looked at costs nothing.
    everything = guidance.loss(
        model, seen, torch.tensor([row * 9 + query]), torch.tensor([[0, query]])
    )
    assert everything.item() == pytest.approx(0.0, abs=1e-5)


def test_the_loss_moves_the_products(model: Csm) -> None:
    with guidance.watched(model, (2,)) as seen:
        model.hidden_states(frames())
    guidance.loss(model, seen, torch.tensor([6]), torch.tensor([[2, 3]])).backward()
    gradient = model.backbone.layers[2].qkv.weight.grad
    assert gradient is not None
    heads = gradient.view(-1, 64, 320).abs().sum((1, 2))
    # The guided head's q and its k; nobody's v.
    assert set(torch.nonzero(heads).flatten().tolist()) == {0, 6}
    model.zero_grad()


@pytest.mark.parametrize(("layers", "guided"), [(1, (0,)), (2, (0, 1)), (6, (2, 3)), (12, (4, 5))])
def test_guided_layers(layers: int, guided: tuple[int, ...]) -> None:
    assert guidance.guided_layers(layers) == guided
