"""How many connections a port of gRPC takes; those beyond are closed, and hurt nobody."""

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.certificates import Certificates
from tests.csm.serving.running import NAME, SERVING, Running

MOST = 3


class Peer:
    """A connection that says nothing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> "Peer":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def is_closed(self) -> bool:
        """Whether the server has closed it, which it does at once where it does."""
        try:
            async with asyncio.timeout(0.5):
                while await self._reader.read(1024):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    async def close(self) -> None:
        self._writer.close()


async def answers(target: str) -> bool:
    async with grpc.aio.insecure_channel(target) as channel:
        asked = health_pb2.HealthCheckRequest(service=NAME)
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(asked, timeout=3)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == SERVING)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_connections_beyond_the_bound_are_closed_and_places_come_back(
    encrypted: bool, tmp_path: Path
) -> None:
    settings = Certificates(tmp_path).settings() if encrypted else {}
    running = Running(max_connections=MOST, health_port=0, **settings)
    await running.listening()
    await running.ready()
    peers = [await Peer.connect(running.host.port) for _ in range(MOST + 2)]
    assert [await one.is_closed() for one in peers] == [False] * MOST + [True] * 2
    probes = f"127.0.0.1:{running.host.health_port}"
    assert await answers(probes)
    for one in peers:
        await one.close()
    if not encrypted:
        async with asyncio.timeout(10):
            while not await answers(running.host.address):
                await asyncio.sleep(0.05)
    else:
        async with asyncio.timeout(10):
            while await (peer := await Peer.connect(running.host.port)).is_closed():
                await peer.close()
    await running.channel.close()
    await running.host.stop(finish_s=0)


async def test_who_is_connected_goes_on_while_others_are_turned_away() -> None:
    running = await (await Running(max_connections=MOST).listening()).ready()
    assert (await running.check("")) == SERVING
    peers = [await Peer.connect(running.host.port) for _ in range(MOST)]
    assert [await one.is_closed() for one in peers].count(True) == 1
    assert (await running.check("")) == SERVING
    for one in peers:
        await one.close()
    await running.channel.close()
    await running.host.stop(finish_s=0)
