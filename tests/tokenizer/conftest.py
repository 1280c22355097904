"""Running tokenizers, and the codec that they run."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import torch

from services.tokenizer import codec
from tests.tokenizer.running_tokenizer import PICO, Tokenizer

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def pico() -> codec.Mimi:
    """The codec that the service runs, called directly."""
    return codec.load(PICO)


@pytest.fixture
async def tokenizer() -> AsyncIterator[Tokenizer]:
    """A tokenizer with its default settings."""
    running = await Tokenizer().start()
    yield running
    await running.stop()


@pytest.fixture
async def start_tokenizer() -> AsyncIterator[Callable[..., Any]]:
    """Starts tokenizers with settings of one's own; stops them after the test."""
    running: list[Tokenizer] = []

    async def start(**settings: Any) -> Tokenizer:
        running.append(await Tokenizer(**settings).start())
        return running[-1]

    yield start
    for one in running:
        await one.stop()
