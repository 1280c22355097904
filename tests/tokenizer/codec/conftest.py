"""One codec of random weights for each config, made once."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from services.tokenizer.codec import Mimi, MimiConfig, create
from tests.tokenizer.codec.cases import FIVE, NINE


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@cache
def codec(config: MimiConfig) -> Mimi:
    return create(config, seed=3).requires_grad_(False)


@pytest.fixture(scope="session")
def make_codec():
    """config -> codec; shared by all tests, so none may change it."""
    return codec


@pytest.fixture(params=[FIVE, NINE], ids=["five", "nine"])
def small(request) -> Mimi:
    """Each of the two small codecs with odd sizes."""
    return codec(request.param)
