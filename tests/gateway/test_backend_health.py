"""Of several backends one that still loads, or is drained, gets no call while there is another."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from csm.v1 import generator_pb2, generator_pb2_grpc
from gateway.backends.affinity import affinity
from gateway.backends.backend import Backend
from gateway.settings import GatewaySettings

NAME = "csm.v1.GeneratorService"
SERVES = health_pb2.HealthCheckResponse.SERVING
SERVES_NOT = health_pb2.HealthCheckResponse.NOT_SERVING


class Loads(generator_pb2_grpc.GeneratorServiceServicer):
    """Says which one it is."""

    def __init__(self, number: int) -> None:
        self._number = number

    async def GetLoad(self, request: Any, context: Any) -> generator_pb2.GetLoadResponse:
        return generator_pb2.GetLoadResponse(running=self._number)


@dataclass
class Server:
    server: grpc.aio.Server
    health: Any
    port: int


@pytest.fixture(params=[True, False], ids=["with health", "without"])
async def servers(request: pytest.FixtureRequest) -> AsyncIterator[list[Server]]:
    found = []
    for number in (1, 2, 3):
        server, servicer = grpc.aio.server(), health.aio.HealthServicer()
        generator_pb2_grpc.add_GeneratorServiceServicer_to_server(Loads(number), server)
        if request.param:
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        await servicer.set(NAME, SERVES)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        found.append(Server(server, servicer if request.param else None, port))
    yield found
    for one in found:
        await one.server.stop(0)


def backend(servers: list[Server], balancing: Any) -> Backend:
    def ask(channel: grpc.aio.Channel) -> Any:
        return None

    target = "ipv4:" + ",".join(f"127.0.0.1:{one.port}" for one in servers)
    return Backend(
        *("generator", target, balancing, ask, GatewaySettings()),
        stub=generator_pb2_grpc.GeneratorServiceStub,
    )


async def answering(it: Backend) -> set[int]:
    """Who answers calls of many conversations."""
    request = generator_pb2.GetLoadRequest()
    answers = [
        await it.stub.GetLoad(request, timeout=10, metadata=affinity(f"conversation {n}"))
        for n in range(30)
    ]
    return {answer.running for answer in answers}


async def until(it: Backend, wanted: set[int]) -> None:
    """Health travels by itself, so it takes a moment."""
    async with asyncio.timeout(10):
        while await answering(it) != wanted:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("balancing", ["round_robin", "ring_hash"])
async def test_calls_go_where_the_service_serves(servers: list[Server], balancing: str) -> None:
    it = backend(servers, balancing)
    try:
        await until(it, {1, 2, 3})
        if servers[1].health is None:
            return
        await servers[1].health.set(NAME, SERVES_NOT)
        await until(it, {1, 3})
        # For good, and not by chance.
        assert [await answering(it) for _ in range(3)] == [{1, 3}] * 3
        await servers[1].health.set(NAME, SERVES)
        await until(it, {1, 2, 3})
    finally:
        await it.channel.close()


async def test_where_none_serves_calls_are_refused_at_once(servers: list[Server]) -> None:
    if servers[0].health is None:
        pytest.skip("who has no health serves")
    it = backend(servers, "round_robin")
    try:
        await until(it, {1, 2, 3})
        for one in servers:
            await one.health.set(NAME, SERVES_NOT)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await asyncio.wait_for(until(it, set()), 20)
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        await it.channel.close()
