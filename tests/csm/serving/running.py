"""A host on a free port with a service that only pretends, and stubs to call it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm import errors
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings
from csm.v1 import generator_pb2, generator_pb2_grpc

NAME = "csm.v1.GeneratorService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Servicer(generator_pb2_grpc.GeneratorServiceServicer):
    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.closes_s = 0.0
        self.failure: Exception = errors.invalid("x", "is wrong")

    async def GetLoad(self, request, context):  # type: ignore[no-untyped-def]
        raise self.failure

    async def GetModelInfo(self, request, context):  # type: ignore[no-untyped-def]
        return generator_pb2.GetModelInfoResponse(model="m")

    async def Generate(self, request_iterator, context) -> AsyncIterator:  # type: ignore
        try:
            async for _ in request_iterator:
                for _ in range(10_000):
                    await asyncio.sleep(0)
                    yield generator_pb2.GenerateResponse()
        finally:
            await asyncio.sleep(self.closes_s)
            self.closed.set()


class FakeService:
    name = NAME

    def __init__(self) -> None:
        self.servicer = Servicer()
        self.loaded = asyncio.Event()
        self.beating = True
        self.events: list[str] = []
        self.drains_s = 0.0

    async def start(self) -> None:
        await self.loaded.wait()

    def register(self, server: grpc.aio.Server) -> None:
        generator_pb2_grpc.add_GeneratorServiceServicer_to_server(self.servicer, server)

    def alive(self) -> bool:
        return self.beating

    async def drain(self, finish_s: float) -> None:
        self.events.append(f"drain {finish_s:g}")
        await asyncio.sleep(self.drains_s)

    async def stop(self) -> None:
        self.events.append("stop")


class Running:
    """A host on a free port, its fake service, and stubs."""

    def __init__(self, **settings: Any) -> None:
        self.metrics = Metrics()
        self.service = FakeService()
        self.host = Host(self.service, ServiceSettings(port=0, **settings), self.metrics)
        self.starting = asyncio.create_task(self.host.start())

    async def listening(self) -> "Running":
        while not self.host.port:
            await asyncio.sleep(0.01)
        self.channel = grpc.aio.insecure_channel(self.host.address)
        self.stub = generator_pb2_grpc.GeneratorServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)
        return self

    async def ready(self) -> "Running":
        self.service.loaded.set()
        await self.starting
        return self

    async def check(self, service: str) -> int:
        return (await self.health.Check(health_pb2.HealthCheckRequest(service=service))).status
