"""Who owes something and gives nothing is left, and nobody for what this process itself does."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.backends.backends import GeneratorState
from gateway.backends.failure import BackendFailure
from gateway.settings import GatewaySettings
from gateway.speaking import watch
from gateway.speaking.fate import Source
from gateway.speaking.watch import Owed, Watch

FLOW_S = 0.6


class Call:
    """Remembers that it was ended, and when."""

    def __init__(self) -> None:
        self.failures: list[BackendFailure] = []

    def fail(self, failure: BackendFailure) -> None:
        self.failures.append(failure)


class Watched:
    """A watch over two calls, and the generator's answers to its question."""

    def __init__(self) -> None:
        self.generator, self.decoder = Call(), Call()
        self.generator_owed, self.decoder_owed = Owed(), Owed()
        self.state = GeneratorState.ANSWERS
        self.stands_still_s = 0.0
        """How long this process does, in the middle of the question."""
        self.asked = 0

    async def generator_state(self, key: str, route: int) -> GeneratorState:
        self.asked += 1
        time.sleep(self.stands_still_s)  # noqa: ASYNC251
        return self.state

    async def run(self) -> None:
        generator: Any = lambda: self.generator  # noqa: E731
        decoder: Any = lambda: self.decoder  # noqa: E731
        backends: Any = self
        one = Watch(GatewaySettings(), generator, self.generator_owed, decoder, self.decoder_owed)
        await one.run(backends, lambda: ("key", 0))


@pytest.fixture
async def watched(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    monkeypatch.setattr(watch, "FLOW_SILENCE_S", FLOW_S)
    monkeypatch.setattr(watch, "SILENCE_S", 0.3)
    monkeypatch.setattr(watch, "WATCH_INTERVAL_S", 0.05)
    one = Watched()
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0)
    yield one
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def failed(call: Call) -> BackendFailure:
    async with asyncio.timeout(5):
        while not call.failures:
            await asyncio.sleep(0.01)
    return call.failures[0]


async def test_a_tokenizer_that_pauses_too_long_is_left(watched: Watched) -> None:
    began = time.monotonic()
    watched.decoder_owed.begin(flowing=True)
    failure = await failed(watched.decoder)
    assert time.monotonic() - began >= FLOW_S
    assert (failure.source, failure.hangs) == (Source.TOKENIZER, True)
    assert not watched.generator.failures


async def test_time_that_this_process_stands_still_counts_against_nobody(watched: Watched) -> None:
    watched.decoder_owed.begin(flowing=True)
    watched.generator_owed.begin(flowing=True)
    await asyncio.sleep(0.1)
    time.sleep(2 * FLOW_S)  # noqa: ASYNC251
    # The first to run again is the watch: what came meanwhile is read behind it.
    await asyncio.sleep(0.06)
    assert not watched.decoder.failures
    assert not watched.generator.failures
    # Who gives nothing now either is left all the same.
    await failed(watched.decoder)
    await failed(watched.generator)


async def test_a_question_that_this_process_was_late_for_says_nothing(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOAD_TIMEOUT_S", 0.1)
    watched.state, watched.stands_still_s = GeneratorState.HANGS, 0.5
    watched.generator_owed.begin()
    async with asyncio.timeout(5):
        while not watched.asked:
            await asyncio.sleep(0.01)
    assert not watched.generator.failures
    watched.stands_still_s = 0.0
    assert (await failed(watched.generator)).source is Source.GENERATOR
    assert watched.asked >= 2


async def test_what_is_not_owed_is_not_owed_by_time_that_does_not_count() -> None:
    owed = Owed()
    owed.not_counting(1.0)
    assert owed.for_s == 0
    owed.begin()
    owed.not_counting(100.0)
    await asyncio.sleep(0.01)
    assert 0 < owed.for_s < 1
