"""A client that reads nothing keeps nothing for longer than it may."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest

from csm import errors
from csm.serving.rpc import unread as unread_calls
from csm.serving.rpc.unread import AnswerWriter
from csm.v1 import generator_pb2
from tests.csm.serving.rpc.raw_http2 import RawConnection, message, rpc_headers
from tests.csm.serving.running import NAME, Running

LIMIT_S = 0.4
WINDOW_BYTES = 60


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    settings = {"max_concurrent_rpcs": 1, "max_unread_s": LIMIT_S}
    one = await (await Running(**settings).listening()).ready()
    yield one
    await one.channel.close()
    await one.host.stop(finish_s=0)


async def unread(running: Running) -> RawConnection:
    """A connection with a call that is answered at length, and room for a few messages."""

    def talk() -> RawConnection:
        raw = RawConnection(running.host.address, window_bytes=WINDOW_BYTES)
        raw.headers(1, rpc_headers(f"/{NAME}/Generate".encode()))
        raw.data(1, message(b""))
        return raw

    return await asyncio.to_thread(talk)


def in_flight(running: Running) -> float:
    value = running.metrics.registry.get_sample_value("csm_rpcs_in_flight", {"grpc_service": NAME})
    assert value is not None
    return value


async def test_an_answer_that_nobody_reads_ends_its_call_and_frees_its_place(
    running: Running,
) -> None:
    raw, began = await unread(running), time.monotonic()
    await asyncio.wait_for(running.service.servicer.closed.wait(), 5)
    assert time.monotonic() - began + 0.05 >= LIMIT_S
    # The only place is free, though the client has still read nothing.
    answer = await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest(), timeout=2)
    assert answer.model == "m"
    async with asyncio.timeout(5):
        while in_flight(running):
            await asyncio.sleep(0.01)
    # The status comes behind what was sent before it.
    raw.more_window(1, 1 << 20)
    assert b"max_unread_s" in await asyncio.to_thread(raw.read, 0.5)
    raw.close()


async def test_a_client_that_reads_slowly_is_not_ended(running: Running) -> None:
    raw = await unread(running)
    for _ in range(8):
        await asyncio.sleep(LIMIT_S / 3)
        await asyncio.to_thread(raw.more_window, 1, 40)
        assert not running.service.servicer.closed.is_set()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest(), timeout=2)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    raw.close()


class Context:
    """A call whose writes take as long as they are told, and fail as they are told."""

    def __init__(self, write_s: float, failure: Exception | None = None) -> None:
        self._write_s, self._failure = write_s, failure

    async def write(self, answer: object) -> None:
        await asyncio.sleep(self._write_s)
        if self._failure is not None:
            raise self._failure


async def test_an_answer_that_takes_long_to_come_is_not_unread() -> None:
    writer = AnswerWriter(Context(0.0), 0.1)  # type: ignore[arg-type]
    async with writer.watched():
        for _ in range(3):
            await writer.write("x")
            await asyncio.sleep(0.25)


async def test_each_write_has_the_whole_time() -> None:
    writer = AnswerWriter(Context(0.12), 0.2)  # type: ignore[arg-type]
    async with writer.watched():
        for _ in range(4):
            await writer.write("x")
    slow = AnswerWriter(Context(5.0), 0.2)  # type: ignore[arg-type]
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded, match=r"read for 0.2 s \(max_unread_s\)"):
        async with slow.watched():
            await slow.write("x")
    assert time.monotonic() - began < 4


async def test_the_time_limits_of_others_stay_theirs() -> None:
    writer = AnswerWriter(Context(5.0), 10.0)  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), writer.watched():
            await writer.write("x")


async def test_a_write_that_fails_as_its_client_goes_ends_by_the_cancel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = AnswerWriter(Context(0.0, grpc.aio.InternalError("x")), 10.0)  # type: ignore
    writing = asyncio.create_task(writer.write("x"))
    await asyncio.sleep(0.05)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    monkeypatch.setattr(unread_calls, "GONE_S", 0.05)
    with pytest.raises(grpc.aio.InternalError):
        await writer.write("x")
