from collections.abc import AsyncIterator

import pytest

from tests.gateway.fakes import Stack, stack


@pytest.fixture
async def running() -> AsyncIterator[Stack]:
    async with stack() as one:
        yield one
