"""How a backend is watched."""

import asyncio
import logging
import socket

import grpc
import pytest

from csm.serving.metrics import Metrics
from gateway.backends.backend import Backend
from gateway.backends.backends import Backends
from gateway.settings import GatewaySettings
from tests.gateway.fakes import FakeGenerator, FakeTokenizer


class Connection:
    """A channel whose state a test changes; counts who watches it, as grpc forgets no watch."""

    def __init__(self) -> None:
        self.watches = 0
        self.changed = asyncio.Event()

    def get_state(self) -> grpc.ChannelConnectivity:
        return grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, state: grpc.ChannelConnectivity) -> None:
        self.watches += 1
        await self.changed.wait()


async def test_a_good_connection_is_watched_once_however_long_it_lasts() -> None:
    asked = 0

    async def ask() -> str:
        nonlocal asked
        asked += 1
        return "info"

    settings = GatewaySettings(backend_refresh_s=0.02)  # type: ignore[call-arg]
    backend = Backend("tokenizer", "127.0.0.1:1", "pick_first", lambda channel: ask, settings)
    await backend.channel.close(None)
    connection = Connection()
    backend.channel = connection  # type: ignore[assignment]
    watching = asyncio.create_task(backend.watch())
    async with asyncio.timeout(10):
        while asked < 6:
            await asyncio.sleep(0.01)
    assert connection.watches == 1

    settings.backend_refresh_s = 300.0
    before = asked
    connection.changed.set()
    async with asyncio.timeout(10):
        while asked == before or connection.watches == 1:
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_waiting_for_a_backend_is_told_with_where_and_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{nobody.getsockname()[1]}"
        settings = GatewaySettings(tokenizer_target=target, generator_target=target)
        backends = Backends(settings, Metrics())
        start = asyncio.create_task(backends.start())
        try:
            async with asyncio.timeout(10):
                while f"the tokenizer at {target} does not answer" not in caplog.text:
                    await asyncio.sleep(0.01)
        finally:
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            await backends.stop()
    (told,) = (
        record
        for record in caplog.records
        if record.getMessage().startswith(f"the tokenizer at {target} does not answer: ")
    )
    assert told.levelno == logging.WARNING
    assert "UNAVAILABLE" in told.getMessage()
    assert "refused" in told.getMessage().lower()


async def test_a_look_at_a_backend_that_fails_unexpectedly_does_not_end_its_watch() -> None:
    generator, tokenizer = FakeGenerator(), FakeTokenizer()
    await generator.up()
    await tokenizer.up()
    metrics = Metrics()
    settings = GatewaySettings(
        tokenizer_target=f"127.0.0.1:{tokenizer.port}",
        generator_target=f"127.0.0.1:{generator.port}",
        backend_refresh_s=0.05,
        backend_retry_s=0.05,
    )
    backends = Backends(settings, metrics)
    try:
        await backends.start()
        watched = backends._tokenizer
        ask = watched.ask

        def fault() -> object:
            raise RuntimeError("nobody thought of this")

        watched.ask = fault
        restarted = {"watcher": "tokenizer"}
        async with asyncio.timeout(10):
            while not metrics.registry.get_sample_value("csm_watcher_restarts_total", restarted):
                await asyncio.sleep(0.01)
            watched.ask = ask
            # Its last word was "ready"; a watcher that is gone would never take that back.
            await tokenizer.down()
            while backends.ready():
                await asyncio.sleep(0.01)
            await tokenizer.up()
            while not backends.ready():
                await asyncio.sleep(0.01)
    finally:
        await backends.stop()
        await generator.down()
        await tokenizer.down()
