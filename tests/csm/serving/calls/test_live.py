"""A drain says what it waits for, and what it had to cut."""

import asyncio
import time

import pytest

from csm.serving.calls import live as live_calls
from csm.serving.calls.live import MAX_NAMED, LiveCalls
from csm.serving.calls.record import CallRecord
from csm.v1 import generator_pb2
from tests.csm.serving.logs.logged import logged
from tests.csm.serving.running import Running


def with_calls(count: int) -> tuple[LiveCalls, list[CallRecord]]:
    live = LiveCalls()
    calls = [CallRecord("s/Converse", "grpc", f"r{n}", observers=(live,)) for n in range(count)]
    for number, call in enumerate(calls):
        call.begin()
        call.conversation_id = f"c{number}"
    return live, calls


async def test_it_tells_at_once_again_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_calls, "TELL_S", 0.03)
    caplog.set_level("INFO")
    live, calls = with_calls(MAX_NAMED + 2)
    calls[0].begin_turn(0.0)
    calls[0].begin_turn(0.0)
    telling = asyncio.create_task(live.tell_of_drain("the.Service", 0.2))
    await asyncio.sleep(0.05)
    (first,) = logged(caplog, "draining")
    assert (first["service"], first["calls"], first["turns"]) == ("the.Service", MAX_NAMED + 2, 2)
    assert first["oldest_s"] >= 0
    assert first["request_ids"] == "r0,r1,r2,r3,r4"
    assert first["conversation_ids"] == "c0,c1,c2,c3,c4"
    for call in calls[2:]:
        call.end("OK")
    await asyncio.sleep(0.05)
    assert logged(caplog, "drain waits")[-1]["calls"] == 2
    await asyncio.sleep(0.2)
    (cut,) = logged(caplog, "drain cuts what has not ended in time")
    assert (cut["calls"], cut["request_ids"]) == (2, "r0,r1")
    calls[0].end("UNAVAILABLE")
    telling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await telling
    (ended,) = logged(caplog, "drained")
    assert (ended["calls"], ended["cut"], ended["left"]) == (MAX_NAMED + 2, 2, 1)


async def test_with_nothing_under_way_it_says_so_and_waits_for_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    running = await (await Running().listening()).ready()
    await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
    await running.channel.close()
    await running.host.stop(finish_s=5)
    assert logged(caplog, "draining")[0]["calls"] == 0
    assert logged(caplog, "drain waits") == []
    (ended,) = logged(caplog, "drained")
    assert (ended["calls"], ended["cut"]) == (0, 0)
    assert ended["seconds"] < 4


async def test_an_rpc_that_goes_on_is_told_of_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    running = await (await Running().listening()).ready()
    running.service.drains_s = 0.3
    call = running.stub.Generate()
    await call.write(generator_pb2.GenerateRequest())
    await call.read()
    await running.host.stop(finish_s=0.1)
    (first,) = logged(caplog, "draining")
    assert (first["calls"], first["methods"]) == (1, "csm.v1.GeneratorService/Generate")
    (ended,) = logged(caplog, "drained")
    assert (ended["cut"], ended["left"]) == (1, 0)
    await running.channel.close()


@pytest.mark.parametrize(("closes_s", "left"), [(0.3, 0), (30.0, 1)], ids=["soon", "never"])
async def test_a_call_whose_client_knows_its_end_may_still_be_ending_here(
    caplog: pytest.LogCaptureFixture, closes_s: float, left: int
) -> None:
    caplog.set_level("INFO")
    running = await (await Running().listening()).ready()
    running.service.servicer.closes_s = closes_s
    call = running.stub.Generate()
    await call.write(generator_pb2.GenerateRequest())
    await call.read()
    call.cancel()
    await asyncio.sleep(0.1)
    began_s = time.monotonic()
    await running.host.stop(finish_s=0.1)
    assert time.monotonic() - began_s < 5
    assert logged(caplog, "drained")[0]["left"] == left
    await running.channel.close()
