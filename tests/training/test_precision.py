"""The precision that a training computes in."""

from collections.abc import Iterator

import pytest
import torch

from training import precision
from training.optimizer import orthogonal


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    precision.of.cache_clear()
    yield
    precision.of.cache_clear()


@pytest.mark.parametrize(
    ("has", "want"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ],
)
def test_a_processor_is_asked_what_it_multiplies_in(
    has: dict[str, bool], want: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert precision.of("cpu") is want
    assert precision.of("cuda") is torch.bfloat16
    with precision.autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is want
    assert orthogonal(torch.eye(3)).dtype is want
