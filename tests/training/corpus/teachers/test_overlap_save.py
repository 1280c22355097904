"""Convolutions by overlap-save against torch's own."""

import pytest
import torch
from torch.nn import functional

from training.corpus.teachers.overlap_save import TILE, OverlapSave


@pytest.mark.parametrize("kernel", [3, 7, 11, 31])
@pytest.mark.parametrize("dilation", [1, 3, 5])
@pytest.mark.parametrize("frames", [1, 40, 5000])
def test_it_is_the_convolution(kernel: int, dilation: int, frames: int) -> None:
    torch.manual_seed(kernel)
    weight, bias = torch.randn(6, 4, kernel), torch.randn(6)
    x = torch.randn(frames, 4)
    padding = (kernel - 1) * dilation // 2
    expected = functional.conv1d(x.T[None], weight, bias, padding=padding, dilation=dilation)
    made = OverlapSave(weight, bias, dilation)(x)
    torch.testing.assert_close(made, expected[0].T, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("kernel", [2, TILE, TILE + 1])
def test_a_kernel_that_does_not_fit_is_refused(kernel: int) -> None:
    with pytest.raises(ValueError, match=f"kernel is {kernel}; allowed: odd, below 32"):
        OverlapSave(torch.zeros(1, 1, kernel), torch.zeros(1), 1)
