"""One gateway with HTTP over the fakes, shared by the tests of a module."""

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from tests.gateway.fakes import Stack, stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Stack]:
    async with stack(http_port=0, http_cors_origins="https://page.example") as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(served: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.http, timeout=20) as client:
        yield client
