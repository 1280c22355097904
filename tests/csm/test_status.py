"""The true status of a call that was refused while it wrote."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from csm.status import TrueStatus


@pytest.fixture
async def method() -> AsyncIterator[Any]:
    async def refuse(requests: Any, context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            if request == b"end":
                return
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", (("x", "y"),))
        yield b""

    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(refuse)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Y", {"Z": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel.stream_stream("/x.Y/Z")
    await server.stop(0)


async def write(message: bytes) -> AsyncIterator[bytes]:
    for _ in range(50):
        yield message
        await asyncio.sleep(0)


async def test_a_refusal_while_writing_keeps_its_code_details_and_trailers(method: Any) -> None:
    masked = 0
    for _ in range(40):
        call = method(write(b"more"))
        status = TrueStatus(call)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        masked += caught.value.code() is grpc.StatusCode.INTERNAL
        error = await status.of(caught.value)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.details() == "full"
        assert ("x", "y") in tuple(error.trailing_metadata())
    if not masked:
        pytest.skip("this grpcio does not hide the status")


async def test_a_call_that_ended_well_while_writing_is_told_as_ok(method: Any) -> None:
    for _ in range(20):
        call = method(write(b"end"))
        status = TrueStatus(call)
        code = grpc.StatusCode.OK
        try:
            answer = await call.read()
        except grpc.aio.AioRpcError as raised:
            answer, code = grpc.aio.EOF, (await status.of(raised)).code()
        assert answer is grpc.aio.EOF
        assert code is grpc.StatusCode.OK


async def test_a_status_that_is_not_hidden_is_left_alone(method: Any) -> None:
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), grpc.aio.Metadata(), details="a fault"
    )
    call = method(write(b"end"))
    assert await TrueStatus(call).of(error) is error
    call.cancel()


class LateCall:
    """A call whose status is read some time after a write of it failed."""

    def add_done_callback(self, callback: Any) -> None:
        asyncio.get_running_loop().call_later(0.3, callback, self)

    async def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.RESOURCE_EXHAUSTED

    async def details(self) -> str:
        return "full"

    async def trailing_metadata(self) -> Any:
        return grpc.aio.Metadata(("x", "y"))


async def test_a_busy_machine_may_read_the_status_later_than_the_write_failed() -> None:
    none = grpc.aio.Metadata()
    masked = grpc.aio.AioRpcError(
        grpc.StatusCode.INTERNAL, none, none, details="Internal error from Core"
    )
    error = await TrueStatus(LateCall()).of(masked)
    assert (error.code(), error.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
