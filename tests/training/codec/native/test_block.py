"""The native residual block beside PyTorch's."""

import copy
from dataclasses import replace

import pytest
import torch

from services.tokenizer.codec.seanet import ResidualBlock
from tests.training.tiny import CODEC
from training.codec.native.block import NativeBlock, hasten


def block(channels: int, dilation: int) -> ResidualBlock:
    config = replace(CODEC, residual_kernel_size=7)
    made = ResidualBlock(config, channels, dilation)
    torch.manual_seed(channels + dilation)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    return made


def passed(module: ResidualBlock, x: torch.Tensor, dy: torch.Tensor) -> list[torch.Tensor]:
    """What comes out, and all gradients."""
    x = x.clone().requires_grad_(True)
    module.zero_grad()
    y = module(x)
    y.backward(dy)
    found = [x.grad, *(parameter.grad for parameter in module.parameters())]
    return [y.detach(), *(each.clone() for each in found if each is not None)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("channels", [8, 24, 64])
@pytest.mark.parametrize("dilation", [1, 9])
# Shorter than what the kernel looks back, one tile of no whole vector, and several tiles.
@pytest.mark.parametrize("time", [5, 131, 2500])
def test_both_passes_are_those_of_pytorch(
    channels: int, dilation: int, time: int, threads: int
) -> None:
    plain = block(channels, dilation)
    quick = copy.deepcopy(plain)
    assert hasten(quick) == 1
    assert isinstance(quick, NativeBlock)
    x, dy = torch.randn(3, time, channels), torch.randn(3, time, channels)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for have, want in zip(passed(quick, x, dy), passed(plain, x, dy), strict=True):
            torch.testing.assert_close(have, want, rtol=2e-4, atol=2e-4 * float(want.abs().max()))
    finally:
        torch.set_num_threads(before)


def test_without_gradients_and_in_steps_it_is_the_block_it_was() -> None:
    plain = block(8, 3)
    quick = copy.deepcopy(plain)
    hasten(quick)
    x = torch.randn(2, 6, 8)
    with torch.no_grad():
        assert torch.equal(quick(x), plain(x))
        assert torch.equal(quick(x, quick.state(2)), plain(x, plain.state(2)))


@pytest.mark.parametrize("channels", [4, 12, 128])
def test_other_widths_stay_with_pytorch(channels: int) -> None:
    assert hasten(block(channels, 1)) == 0


def test_a_machine_without_a_compiler_trains_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from services.native.build import NativeUnavailable
    from training.codec.native import block as native

    def none() -> None:
        raise NativeUnavailable("no C++ compiler")

    monkeypatch.setattr(native, "_library", none)
    module = block(8, 1)
    assert hasten(module) == 0
    assert type(module) is ResidualBlock
    assert "no C++ compiler" in caplog.text
