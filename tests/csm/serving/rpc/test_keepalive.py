"""A call in which nothing is said lives on, however often its client asks whether we are there."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm import channel
from tests.csm.serving.running import NAME, SERVING, Running

PING_S = 1.0
"""Clients of grpc send no two pings within a second."""


async def test_a_call_that_is_silent_outlives_its_clients_pings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As clients and servers of ours, only faster: pings twice as far apart as the server allows.
    monkeypatch.setattr(channel, "MIN_PING_INTERVAL_MS", int(PING_S * 500))
    running = await (await Running().listening()).ready()
    # By itself a client slows down behind the second ping, and the test would take minutes.
    options = [
        ("grpc.keepalive_time_ms", int(PING_S * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    async with grpc.aio.insecure_channel(running.host.address, options=options) as client:
        watch = health_pb2_grpc.HealthStub(client).Watch(
            health_pb2.HealthCheckRequest(service=NAME)
        )
        assert (await watch.read()).status == SERVING
        with pytest.raises(asyncio.TimeoutError):
            # The third ping too many would end the connection.
            await asyncio.wait_for(watch.read(), 5.5 * PING_S)
    await running.channel.close()
    await running.host.stop(finish_s=0)
