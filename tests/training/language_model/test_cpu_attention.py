"""Plain products are the same attention as torch's own."""

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor

from services.generator.model import weights
from training.language_model import cpu_attention, shape
from training.language_model.cpu_attention import ProductAttention


def tensors(heads: int, kv_heads: int, positions: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, positions, count, 8) for count in (heads, kv_heads, kv_heads)]
    # As the model has them: views with positions before heads.
    return [
        torch.randn(s, generator=generator).requires_grad_(True).transpose(1, 2) for s in shapes
    ]


@pytest.mark.parametrize(("heads", "kv_heads"), [(6, 2), (3, 1), (4, 4)])
@pytest.mark.parametrize("positions", [7, cpu_attention._BLOCK, 2 * cpu_attention._BLOCK + 5])
def test_values_and_gradients_are_those_of_torch(heads: int, kv_heads: int, positions: int) -> None:
    inputs = tensors(heads, kv_heads, positions)
    wanted = functional.scaled_dot_product_attention(*inputs, is_causal=True, enable_gqa=True)
    with ProductAttention():
        found = functional.scaled_dot_product_attention(*inputs, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(found, wanted)
    weight = torch.arange(wanted.numel()).view_as(wanted) / wanted.numel()
    gradients = [torch.autograd.grad((y * weight).sum(), inputs) for y in (wanted, found)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_model_runs_through_it_inside_the_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = cpu_attention.causal_attention

    def counted(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        calls.append(q.shape)
        return real(q, k, v)

    monkeypatch.setattr(cpu_attention, "causal_attention", counted)
    model = weights.create(shape.build("small", num_codebooks=3, codebook_size=16))
    frames = torch.zeros(1, 5, 4, dtype=torch.int64)
    plain = model.hidden_states(frames)
    assert not calls
    with ProductAttention():
        inside = model.hidden_states(frames)
    assert len(calls) == 6
    torch.testing.assert_close(inside, plain, atol=1e-4, rtol=1e-4)


def test_other_attention_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_attention, "causal_attention", None)
    inputs = tensors(2, 2, 7)
    mask = torch.ones(7, 7, dtype=torch.bool)
    with ProductAttention():
        functional.scaled_dot_product_attention(*inputs)
        functional.scaled_dot_product_attention(*inputs, attn_mask=mask)
        functional.scaled_dot_product_attention(*inputs, is_causal=True, scale=0.5)
