"""Muon and AdamW as one optimizer."""

import copy

import pytest
import torch
from torch import nn

from training.optimizer import Optimizer, orthogonal


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (24, 24)])
def test_an_update_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    singular = torch.linalg.svdvals(orthogonal(torch.randn(shape)).float())
    assert 0.5 < float(singular.min()) <= float(singular.max()) < 1.3


def test_directions_are_kept() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(24, 40)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    update = orthogonal(matrix).float()
    assert float((u.t() @ update @ v.t()).diagonal().min()) > 0.4


@pytest.mark.parametrize(("muon_rate", "every"), [(0.0, 1), (0.02, 1), (0.02, 3)])
def test_a_least_squares_problem_is_solved(muon_rate: float, every: int) -> None:
    torch.manual_seed(0)
    model = nn.Linear(8, 6)
    wanted, x = nn.Linear(8, 6), torch.randn(64, 8)
    optimizer = Optimizer(
        model.named_parameters(), muon_rate=muon_rate, adam_rate=0.02, muon_every=every
    )
    losses = []
    for step in range(300):
        optimizer.set_scale(1 - step / 300)
        loss = (model(x) - wanted(x).detach()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 1e-3 * losses[0]


def test_matrices_named_go_to_adam() -> None:
    model = nn.ModuleDict({"table": nn.Linear(4, 4, bias=False), "inner": nn.Linear(4, 4)})
    optimizer = Optimizer(
        model.named_parameters(), muon_rate=0.1, adam_rate=0.1, adam_names=("table",)
    )
    adam, muon = optimizer.state_dict()["parts"]
    assert len(adam["param_groups"][0]["params"]) == 2
    assert len(muon["param_groups"][0]["params"]) == 1


def test_a_convolution_moves_as_the_matrix_of_its_outputs() -> None:
    torch.manual_seed(0)
    convolution, matrix = nn.Conv1d(3, 6, 4, bias=False), nn.Linear(12, 6, bias=False)
    weights = (convolution.weight, matrix.weight)
    with torch.no_grad():
        matrix.weight.copy_(convolution.weight.flatten(1))
    optimizers = [
        Optimizer([("inner", weight)], muon_rate=0.1, adam_rate=0.1) for weight in weights
    ]
    gradient = torch.randn(6, 12)
    for weight, optimizer in zip(weights, optimizers, strict=True):
        weight.grad = gradient.view_as(weight)
        optimizer.step()
    assert torch.equal(convolution.weight.flatten(1), matrix.weight)


def test_rates_scale_and_states_return() -> None:
    torch.manual_seed(0)
    models = [nn.Linear(4, 4) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    first, second = (Optimizer(m.named_parameters(), muon_rate=0.1, adam_rate=0.1) for m in models)
    x = torch.randn(8, 4)

    def step(model: nn.Linear, optimizer: Optimizer) -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    step(models[0], first)
    models[1].load_state_dict(models[0].state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for model, optimizer in zip(models, (first, second), strict=True):
        optimizer.set_scale(0.5)
        step(model, optimizer)
    assert torch.equal(models[0].weight, models[1].weight)
    before = models[0].weight.clone()
    first.set_scale(0.0)
    step(models[0], first)
    assert torch.equal(models[0].weight, before)


def test_directions_are_found_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    found: list[int] = []

    def counted(matrix: torch.Tensor) -> torch.Tensor:
        found[-1] += 1
        return orthogonal(matrix)

    monkeypatch.setattr("training.optimizer.orthogonal", counted)
    optimizer = Optimizer(model.named_parameters(), muon_rate=0.1, adam_rate=0.1, muon_every=2)
    for _ in range(5):
        found.append(0)
        model(torch.randn(3, 4)).square().sum().backward()
        before = [each.detach().clone() for each in model.parameters()]
        optimizer.step()
        assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
        optimizer.zero_grad()
    assert found == [2, 1, 1, 1, 1]


def test_a_direction_for_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="every is 0"):
        Optimizer(nn.Linear(2, 2).named_parameters(), muon_rate=0.1, adam_rate=0.1, muon_every=0)
