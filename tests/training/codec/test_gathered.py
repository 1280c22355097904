"""Resampling convolutions as products beside PyTorch's convolutions."""

import copy

import pytest
import torch

from services.tokenizer.codec.conv import CausalConv1d, CausalConvTranspose1d
from training import precision
from training.codec.gathered import gather


def passed(conv: CausalConv1d, x: torch.Tensor) -> list[torch.Tensor]:
    """What comes out, and all gradients."""
    x = x.clone().requires_grad_(True)
    y = conv(x)
    y.square().sum().backward()
    found = [x.grad, *(parameter.grad for parameter in conv.parameters())]
    return [y.detach(), *(each for each in found if each is not None)]


@pytest.mark.parametrize(
    "conv",
    [
        CausalConv1d(4, 8, 10, stride=5),
        CausalConv1d(4, 8, 4, stride=2, bias=False, replicate=True),
        CausalConvTranspose1d(8, 4, 5),
    ],
)
def test_both_passes_are_those_of_pytorch(
    conv: CausalConv1d, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "of", lambda device: torch.float32)
    torch.manual_seed(1)
    for parameter in conv.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    quick = copy.deepcopy(conv)
    assert gather(quick) == 1
    x = torch.randn(3, 40, conv.in_channels)
    for have, want in zip(passed(quick, x), passed(conv, x), strict=True):
        torch.testing.assert_close(have, want, rtol=1e-4, atol=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(quick(x), conv(x))


@pytest.mark.parametrize(
    "conv",
    [
        CausalConv1d(4, 8, 7),
        CausalConv1d(4, 8, 10, stride=5, dilation=2),
        CausalConvTranspose1d(8, 8, 2, groups=8),
    ],
)
def test_other_kernels_stay_convolutions(conv: CausalConv1d) -> None:
    assert gather(conv) == 0


def test_where_bfloat16_is_fast_they_stay_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "of", lambda device: torch.bfloat16)
    assert gather(CausalConv1d(4, 8, 10, stride=5)) == 0
