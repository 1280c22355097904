"""Calls that are opened and say nothing take nobody's place."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import pytest

from csm import errors
from csm.serving.rpc import interceptor
from csm.v1 import generator_pb2
from tests.csm.serving.rpc.raw_http2 import RawConnection, message, rpc_headers
from tests.csm.serving.running import NAME, SERVING, Running


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    one = await (await Running(max_concurrent_rpcs=4, first_message_s=1.0).listening()).ready()
    yield one
    await one.channel.close()
    await one.host.stop(finish_s=0)


async def opened(running: Running, method: str, calls: int, payload: bytes = b"") -> RawConnection:
    """A connection with calls that have sent no message, or but a part of one."""

    def talk() -> RawConnection:
        raw = RawConnection(running.host.address)
        for number in range(calls):
            raw.headers(2 * number + 1, rpc_headers(method.encode()))
            if payload:
                raw.data(2 * number + 1, payload)
        return raw

    raw = await asyncio.to_thread(talk)
    await asyncio.sleep(0.2)
    return raw


@pytest.mark.parametrize("method", ["Generate", "GetModelInfo"])
@pytest.mark.parametrize("payload", [b"", message(b"0123456789")[:9]])
async def test_calls_without_a_first_message_refuse_nobody(
    running: Running, method: str, payload: bytes
) -> None:
    raw = await opened(running, f"/{NAME}/{method}", 40, payload)
    for _ in range(5):
        answer = await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest(), timeout=2)
        assert answer.model == "m"
    call = running.stub.Generate()
    await call.write(generator_pb2.GenerateRequest())
    assert await asyncio.wait_for(call.read(), 2) is not grpc.aio.EOF
    call.cancel()
    raw.close()


async def test_a_first_message_that_does_not_come_ends_the_call_and_says_what_was_waited_for(
    running: Running,
) -> None:
    call = running.stub.Generate()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call.read(), 4)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "first message" in (caught.value.details() or "")
    assert "first_message_s" in (caught.value.details() or "")


@pytest.mark.parametrize(
    "path",
    [
        f"/{NAME}/GetModelInfo",
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
async def test_every_kind_of_call_has_the_same_time(running: Running, path: str) -> None:
    raw = await opened(running, path, 1)
    assert b"first message" in await asyncio.to_thread(raw.read, 2.0)
    raw.close()


async def test_a_call_that_spoke_in_time_may_be_idle_for_longer(running: Running) -> None:
    call = running.stub.Generate()
    await asyncio.sleep(0.6)
    await call.write(generator_pb2.GenerateRequest())
    await asyncio.sleep(1.2)
    assert await asyncio.wait_for(call.read(), 2) is not grpc.aio.EOF
    call.cancel()


async def test_a_unary_call_that_ends_without_its_message_is_told(running: Running) -> None:
    def talk() -> bytes:
        raw = RawConnection(running.host.address)
        raw.headers(1, rpc_headers(f"/{NAME}/GetModelInfo".encode()), end=True)
        came = raw.read(0.7)
        raw.close()
        return came

    assert b"one message is needed" in await asyncio.to_thread(talk)


async def test_bytes_that_are_no_message_are_the_callers_fault(running: Running) -> None:
    call = running.channel.unary_unary(f"/{NAME}/GetModelInfo")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"\xff\xff\xff", timeout=2)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert errors.rpc_error_details(caught.value)


async def test_reflection_calls_have_a_bound_and_an_end(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interceptor, "REFLECTION_S", 4.0)
    path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    raw = await opened(running, path, interceptor.MAX_REFLECTION_CALLS, message(b"\x3a\x00"))
    call = running.channel.stream_stream(path)()
    await call.write(b"\x3a\x00")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call.read(), 2)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await running.check("") == SERVING
    async with asyncio.timeout(10):
        while True:
            call = running.channel.stream_stream(path)()
            await call.write(b"\x3a\x00")
            with contextlib.suppress(grpc.aio.AioRpcError):
                assert await call.read()
                break
            await asyncio.sleep(0.2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    raw.close()
