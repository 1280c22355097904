"""A request that ends grpc.aio's server, and those that might: frames that no client would send."""

import asyncio
import logging
import socket
import time
from typing import Any

import grpc
import pytest
from grpc._cython import cygrpc  # type: ignore[attr-defined]
from prometheus_client import generate_latest

from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.serving.rpc import listener
from csm.serving.rpc import server as grpc_server
from csm.serving.settings import ServiceSettings
from csm.v1 import generator_pb2, generator_pb2_grpc
from tests.csm.serving.rpc.raw_http2 import Header, RawConnection, message, rpc_headers
from tests.csm.serving.running import NAME, FakeService, Running

PATH = f"/{NAME}/GetModelInfo".encode()
BAD = b"\xa3\xff\x80"
DEADLY = rpc_headers(b"/csm.v1.\xa3/X")
STRANGE: dict[str, list[Header]] = {
    "a path that is not UTF-8": DEADLY,
    "a method that is not UTF-8": rpc_headers(PATH + BAD),
    "an empty path": rpc_headers(b""),
    "a NUL in the path": rpc_headers(b"/a\x00/b"),
    "a metadata key": rpc_headers(PATH, (b"x-\xa3", b"v")),
    "a metadata value": rpc_headers(PATH, (b"x-v", BAD)),
    "a binary value": rpc_headers(PATH, (b"x-v-bin", b"!!\xa3")),
    "a request id": rpc_headers(PATH, (b"x-request-id", BAD)),
    "an authority": rpc_headers(PATH, (b":authority", BAD)),
    "no authority": rpc_headers(PATH, without=[b":authority"]),
    "a timeout": rpc_headers(PATH, (b"grpc-timeout", BAD)),
    "a timeout beyond all bounds": rpc_headers(PATH, (b"grpc-timeout", b"9" * 20 + b"H")),
    "an encoding": rpc_headers(PATH, (b"grpc-encoding", BAD)),
    "a content type": rpc_headers(PATH, (b"content-type", BAD)),
    "trailers": rpc_headers(PATH, (b"te", BAD)),
    "a user agent": rpc_headers(PATH, (b"user-agent", BAD)),
}


async def send(address: str, headers: list[Header]) -> None:
    def talk() -> None:
        raw = RawConnection(address)
        raw.headers(1, headers)
        raw.data(1, message(b""), end=True)
        raw.read(0.1)
        raw.close()

    await asyncio.to_thread(talk)


async def answers(address: str, within_s: float = 3.0) -> float:
    """Seconds until a new client is answered."""
    began = time.monotonic()
    while True:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = generator_pb2_grpc.GeneratorServiceStub(channel)
            try:
                await stub.GetModelInfo(generator_pb2.GetModelInfoRequest(), timeout=1)
                return time.monotonic() - began
            except grpc.aio.AioRpcError:
                if time.monotonic() - began > within_s:
                    raise
                await asyncio.sleep(0.05)


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that decode every path again, and end by it."""

    def next_call(self: Any, method: bytes | None) -> asyncio.Future[Any]:
        usual = cygrpc.AioServer._make_request_call_future
        return asyncio.shield(self._keep(usual(self, method)))

    monkeypatch.setattr(grpc_server._Server, "_make_request_call_future", next_call)


@pytest.mark.usefixtures("fragile")
async def test_a_server_that_ends_costs_a_second_at_most_and_no_call_that_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = await (await Running().listening()).ready()
    call = running.stub.Generate()
    await call.write(generator_pb2.GenerateRequest())
    await call.read()
    port = running.host.port
    for _ in range(2):
        caplog.clear()
        await send(running.host.address, DEADLY)
        assert await answers(running.host.address) < 1.5
        assert running.host.port == port
        ours = [r for r in caplog.records if r.name == "csm.serving.rpc.ports"]
        assert [r.levelno for r in ours] == [logging.ERROR]
        assert str(port) in ours[0].getMessage()
    assert running.host.state().ready
    # What was under way is still answered, by the server that has ended.
    for _ in range(10):
        assert await call.read() is not grpc.aio.EOF
    text = generate_latest(running.metrics.registry).decode()
    assert f'csm_server_restarts_total{{grpc_service="{NAME}"}} 2.0' in text
    call.cancel()
    await running.channel.close()
    async with asyncio.timeout(8):
        await running.host.stop(finish_s=0)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


@pytest.mark.parametrize("what", STRANGE)
async def test_what_is_strange_in_a_request_stops_nobody(what: str) -> None:
    running = await (await Running().listening()).ready()
    server = running.host.server
    for _ in range(3):
        await send(running.host.address, STRANGE[what])
    await asyncio.sleep(0.4)
    assert running.host.server is server
    assert await answers(running.host.address) < 1.5
    await running.channel.close()
    await running.host.stop(finish_s=0)


@pytest.mark.usefixtures("fragile")
async def test_a_port_that_is_taken_meanwhile_is_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "RELISTEN_S", 0.3)
    lost = asyncio.Event()
    service = FakeService()
    service.loaded.set()
    host = Host(service, ServiceSettings(port=0), Metrics(), on_lost=lost.set)
    await host.start()
    monkeypatch.setattr(host._ports._calls, "_bind", lambda port: 0)
    await send(host.address, DEADLY)
    await asyncio.wait_for(lost.wait(), 3)
    assert not host.state().ready
    assert "port" in host.state().reason
    await host.stop(finish_s=0)


async def test_a_method_that_there_is_not_is_said_so() -> None:
    running = await (await Running().listening()).ready()
    for path in (f"/{NAME}/Nothing", "/csm.v1.Nobody/Generate"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.channel.unary_unary(path)(b"", timeout=3)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await running.channel.close()
    async with asyncio.timeout(3):
        await running.host.stop(finish_s=0)


async def test_a_server_that_was_stopped_on_purpose_stays_so() -> None:
    running = await (await Running().listening()).ready()
    await running.host.server.stop(0)
    await asyncio.sleep(0.6)
    with pytest.raises(OSError, match=r"."), socket.socket() as client:
        client.connect(("127.0.0.1", running.host.port))
    await running.channel.close()
    await running.host.stop(finish_s=0)
