"""A record of each call, filled while it runs, and those who are told of it."""

import asyncio
import contextvars
import time

import grpc
import pytest

from csm import errors
from csm.serving.calls.record import CallObserver, CallRecord, current, current_call
from csm.serving.calls.recorder import CallRecorder
from csm.serving.calls.turn_record import MAX_TEXT_CHARS, TurnRecord
from csm.v1 import generator_pb2
from tests.csm.serving.running import Running


class Told(CallObserver):
    def __init__(self) -> None:
        self.told: list[str] = []

    def call_began(self, call: CallRecord) -> None:
        self.told.append(f"began {call.method}")

    def call_ended(self, call: CallRecord) -> None:
        self.told.append(f"ended {call.status}")

    def turn_began(self, call: CallRecord, turn: TurnRecord) -> None:
        self.told.append("turn began")

    def turn_ended(self, call: CallRecord, turn: TurnRecord) -> None:
        self.told.append(f"turn ended {turn.turn_id}")


async def test_observers_are_told_of_a_call_and_its_turns_in_order_and_once() -> None:
    told = Told()
    record = CallRecorder((told,)).begin("s/M", "grpc", "r", "p")
    assert current_call() is record
    assert await asyncio.create_task(_mine()) is record
    turn = record.begin_turn(1.0)
    turn.turn_id = "t"
    record.end_turn(turn, 2.0)
    record.end_turn(turn, 3.0)
    record.end("OK")
    record.end("CANCELLED")
    assert told.told == ["began s/M", "turn began", "turn ended t", "ended OK"]


async def _mine() -> CallRecord:
    return current_call()


def test_figures_of_turns_are_added_to_the_call() -> None:
    record = CallRecord("s/M")
    for n in (1, 2):
        turn = record.begin_turn(10.0 * n)
        turn.turn_id, turn.num_frames, turn.audio_s = f"t{n}", 5 * n, 0.5
        turn.first_audio_s = 10.0 * n + 0.2 * n
        record.end_turn(turn, 10.0 * n + 1)
    refused = record.begin_turn(50.0)
    heard = record.begin_turn(60.0, heard=True)
    heard.audio_s = 3.0
    assert record.turns_under_way == 2
    record.end_turn(refused, 51.0)
    record.end_turn(heard, 61.0)
    assert (record.num_turns, record.num_heard, record.turns_under_way) == (2, 1, 0)
    assert (record.num_frames, record.audio_s, record.heard_s) == (15, 1.0, 3.0)
    assert record.first_audio_ms == pytest.approx(200.0)
    assert record.turn_id == "t2"


def test_a_turn_keeps_its_text_only_where_it_may_and_only_its_beginning() -> None:
    silent = TurnRecord(0.0)
    silent.say("words")
    assert silent.text == ""
    kept = TurnRecord(0.0, keeps_text=True)
    for _ in range(MAX_TEXT_CHARS):
        kept.say("abc")
    assert len(kept.text) == MAX_TEXT_CHARS


def test_an_observer_that_fails_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(CallObserver):
        def call_began(self, call: CallRecord) -> None:
            raise ValueError("secret words")

    told = Told()
    CallRecorder((Broken(), told)).begin("s/M", "grpc", "r", "p").end("OK")
    assert told.told == ["began s/M", "ended OK"]
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_without_a_call_there_is_a_record_that_nobody_reads() -> None:
    def alone() -> None:
        assert current.get() is None
        assert current_call() is not current_call()

    contextvars.Context().run(alone)


async def test_an_rpc_has_a_record_with_its_bytes_and_its_status() -> None:
    running = await (await Running().listening()).ready()
    ended: list[CallRecord] = []

    class Keeping(CallObserver):
        def call_ended(self, call: CallRecord) -> None:
            ended.append(call)

    running.host._interceptor._recorder = CallRecorder((Keeping(),))
    info = await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
    with pytest.raises(grpc.aio.AioRpcError):
        await running.stub.GetLoad(generator_pb2.GetLoadRequest())
    call = running.stub.Generate()
    sent = generator_pb2.GenerateRequest(text=generator_pb2.GenerateText(text="abc"))
    await call.write(sent)
    for _ in range(3):
        await call.read()
    call.cancel()
    await running.service.servicer.closed.wait()
    await running.check("")
    await running.channel.close()
    await running.host.stop(finish_s=0)
    assert [one.status for one in ended] == ["OK", "INVALID_ARGUMENT", "CANCELLED"]
    assert [one.bytes_out for one in ended] == [info.ByteSize(), 0, 0]
    assert ended[2].bytes_in == sent.ByteSize()
    assert ended[1].error == errors.invalid("x", "is wrong").summary()
    assert {one.peer for one in ended} == {"127.0.0.1"}
    assert all(0 < one.duration_ms < 20_000 for one in ended)
    assert time.monotonic() >= ended[0].began_s
