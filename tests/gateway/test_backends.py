"""How a backend is watched."""

import asyncio

import grpc

from gateway.backends.backends import Backend
from gateway.settings import GatewaySettings


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
