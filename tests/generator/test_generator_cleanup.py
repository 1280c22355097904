"""Every way a call can end, at every place where its turn can be: nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import numpy as np
import pytest

from csm.v1 import common_pb2, generator_pb2
from services.generator.engine.events import FinishReason
from tests.generator.fake_model import FakeModel
from tests.generator.grpc_harness import Serving, Stream, segment, serving

PLACES = ("queued", "prefill", "decode", "blocked", "after")
LONG = "a long text of which the prefill takes several chunks to complete"


async def bring_to(place: str, server: Serving, model: FakeModel, **call: float) -> Stream:
    """A stream whose turn "t" is queued, amid its prefill or frames, out of credit, or over.

    The server has one slot.
    """
    if place == "queued":
        blocker = await server.open(initial_credit_frames=1)
        await blocker.say("hello")
        await blocker.turn(frames_only=1)
    stream = server.stream(**call)
    await stream.config(
        max_audio_ms=9600, initial_credit_frames=3 if place in ("decode", "blocked") else 0
    )
    if place == "prefill":
        model.gates["prefill"].close()
    if place == "after":
        model.eos_after = 5
    await stream.say(LONG, "t")
    if place == "queued":
        await server.settled(lambda: server.service.engine.load.waiting == 1)
    elif place == "prefill":
        assert await asyncio.to_thread(model.gates["prefill"].reached.wait, 20)
    elif place == "after":
        assert (await stream.turn()).completed
    else:
        await stream.turn(frames_only=3)
        if place == "decode":
            model.gates["backbone"].close()
            await stream.send(credit=generator_pb2.GenerateCredit(frames=1000))
            assert await asyncio.to_thread(model.gates["backbone"].reached.wait, 20)
    model.eos_after = 1 << 30
    return stream


def release(model: FakeModel) -> None:
    for gate in model.gates.values():
        gate.open()


async def left_clean(server: Serving, model: FakeModel, place: str) -> None:
    """The slot is free, nobody waits, no session, task or gauge is left; the next turn is right."""
    if place == "queued":
        # The blocker's turn goes on as if nothing had been.
        assert server.service.engine.load.running == 1
        await server.settled(lambda: server.service.engine.in_flight == 1)
        server.service.engine.end_all(FinishReason.CANCELLED)
    await server.settled(lambda: server.service.engine.in_flight == 0)
    await server.settled(lambda: server.sample("requests_running") == 0)
    assert server.sample("requests_waiting") == 0
    async with serving(FakeModel()) as other:
        expected = await other.speak(LONG)
    np.testing.assert_array_equal((await server.speak(LONG)).codes, expected.codes)


@pytest.mark.parametrize("place", PLACES)
async def test_a_client_that_cancels_its_call_leaves_nothing(place: str) -> None:
    model = FakeModel()
    async with serving(model, slots=1) as server:
        stream = await bring_to(place, server, model)
        stream.call.cancel()
        await asyncio.sleep(0.05)
        release(model)
        await left_clean(server, model, place)
        if place in ("prefill", "decode"):
            assert server.sample("generations_finished_total", reason="cancelled") == 1
            assert server.sample("cancel_latency_seconds_count") == 1


@pytest.mark.parametrize("place", PLACES)
async def test_a_cancel_in_band_ends_the_turn_and_leaves_the_stream_open(place: str) -> None:
    model = FakeModel()
    async with serving(model, slots=1) as server:
        stream = await bring_to(place, server, model)
        await stream.send(cancel=generator_pb2.GenerateCancel(turn_id="t"))
        await stream.send(cancel=generator_pb2.GenerateCancel(turn_id="t"))
        await stream.send(cancel=generator_pb2.GenerateCancel(turn_id="unknown"))
        await asyncio.sleep(0.05)
        release(model)
        if place != "after":
            heard = await stream.turn()
            assert heard.completed
            assert heard.completed.turn_id == "t"
            assert heard.completed.finish_reason == common_pb2.FINISH_REASON_CANCELLED
            assert heard.completed.timing.total_ms > 0
        if place != "queued":
            await stream.send(credit=generator_pb2.GenerateCredit(frames=1000))
            await stream.context(replace=True)
            await stream.say("again", "u")
            again = await stream.turn()
            assert again.completed
            assert again.completed.turn_id == "u"
            assert again.completed.usage.generated_frames == 120
        await stream.end()
        await left_clean(server, model, place)


@pytest.mark.parametrize("place", PLACES)
async def test_a_deadline_ends_the_call_and_frees_its_slot(place: str) -> None:
    model = FakeModel()
    async with serving(model, slots=1) as server:
        stream = await bring_to(place, server, model, timeout=0.6)
        failure = await stream.error()
        assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
        release(model)
        await left_clean(server, model, place)
        if place != "after":
            await server.settled(
                lambda: server.sample("generations_finished_total", reason="deadline") == 1
            )


@pytest.mark.parametrize("place", ["queued", "prefill", "decode", "blocked"])
async def test_a_server_that_stops_gives_every_turn_exactly_one_terminal(place: str) -> None:
    model = FakeModel()
    async with serving(model, slots=1) as server:
        stream = await bring_to(place, server, model)
        stop = asyncio.create_task(server.host.stop(finish_s=0.1))
        await asyncio.sleep(0.2)
        release(model)
        heard = await stream.turn()
        assert heard.completed
        assert heard.completed.finish_reason == common_pb2.FINISH_REASON_SHUTDOWN
        failure = await stream.error()
        assert failure.code is grpc.StatusCode.UNAVAILABLE
        await stop
        assert server.service.engine.in_flight == 0
        assert not server.service._streams
        assert not server.service.engine._thread.is_alive()


async def test_a_drain_lets_turns_finish_and_closes_streams_between_turns() -> None:
    async with serving(slots=1, max_queue=4) as server:
        idle = await server.open()
        await idle.say("hello")
        await idle.turn()
        runs = await server.open(initial_credit_frames=1)
        await runs.say("hello")
        await runs.turn(frames_only=1)
        waits = await server.open()
        await waits.say("hello")
        await server.settled(lambda: server.service.engine.in_flight == 2)
        stop = asyncio.create_task(server.host.stop(finish_s=10))
        assert (await idle.error()).code is grpc.StatusCode.UNAVAILABLE
        await runs.send(credit=generator_pb2.GenerateCredit(frames=100))
        while (response := await runs.read()) and not response.HasField("turn_completed"):
            pass
        assert response
        assert response.turn_completed.usage.generated_frames == 10
        heard = await waits.turn()
        assert heard.completed
        assert heard.completed.finish_reason == common_pb2.FINISH_REASON_MAX_DURATION
        refused = await waits.error()
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.retry_s is not None
        await asyncio.wait_for(stop, 5)


@pytest.mark.parametrize("pass_name", ["prefill", "backbone", "sample"])
async def test_an_exception_of_the_model_is_told_in_band_and_leaks_no_text(pass_name: str) -> None:
    model = FakeModel()
    async with serving(model, slots=1) as server:
        stream = await server.open()
        model.fail_next(pass_name)
        await stream.say("hello", "t")
        heard = await stream.turn()
        assert heard.completed
        assert heard.completed.finish_reason == common_pb2.FINISH_REASON_ERROR
        assert b"broke" not in heard.completed.SerializeToString()
        await stream.context(replace=True)
        await stream.say("hello", "u")
        again = await stream.turn()
        assert again.completed
        assert again.completed.usage.generated_frames == 10
        await stream.end()
        assert server.sample("generations_finished_total", reason="error") == 1
        await server.empty()


async def test_a_wrong_message_in_the_middle_of_a_turn_stops_it_at_once() -> None:
    model = FakeModel()
    async with serving(model, slots=1) as server:
        stream = await bring_to("decode", server, model)
        await stream.send(config=generator_pb2.GenerateConfig())
        await asyncio.sleep(0.05)
        steps = model.steps
        release(model)
        assert (await stream.error()).code is grpc.StatusCode.INVALID_ARGUMENT
        await server.empty()
        assert model.steps <= steps + 1


async def test_a_half_close_lets_the_running_turn_finish() -> None:
    async with serving() as server:
        stream = await server.open(initial_credit_frames=5, max_audio_ms=400)
        await stream.say("hello")
        await stream.call.done_writing()
        heard = await stream.turn()
        assert heard.completed
        assert len(heard.codes) == 5
        assert await stream.read() is None
        await server.empty()


async def test_text_that_was_never_flushed_is_not_spoken() -> None:
    async with serving() as server:
        stream = await server.open()
        await stream.send(text=generator_pb2.GenerateText(text="hello"))
        await stream.end()
        await server.empty()


@pytest.mark.parametrize(("keep", "kept"), [(None, 3), (2, 2), (0, 0), (99, 3)])
async def test_a_barge_in_keeps_what_was_heard_in_the_context(keep: int | None, kept: int) -> None:
    async with serving() as server:
        stream = await server.open(initial_credit_frames=3, max_audio_ms=8000)
        await stream.say("hello", "t")
        spoken = (await stream.turn(frames_only=3)).codes
        await stream.send(cancel=generator_pb2.GenerateCancel(keep_frames=keep))
        assert (await stream.turn()).completed
        await stream.send(credit=generator_pb2.GenerateCredit(frames=100))
        await stream.say("again", "u")
        heard = await stream.turn()
        fresh = await server.open(max_audio_ms=8000)
        if kept:
            await fresh.context(segment("hello", spoken[:kept]))
        await fresh.say("again")
        np.testing.assert_array_equal((await fresh.turn()).codes, heard.codes)


async def test_a_flush_right_behind_a_cancel_is_in_order() -> None:
    model = FakeModel()
    async with serving(model, slots=1) as server:
        stream = await bring_to("decode", server, model)
        await stream.send(cancel=generator_pb2.GenerateCancel())
        await stream.context(replace=True)
        await stream.say("again", "u")
        release(model)
        first, second = await stream.turn(), await stream.turn()
        assert first.completed
        assert second.completed
        assert (first.completed.turn_id, second.completed.turn_id) == ("t", "u")
        assert second.completed.finish_reason == common_pb2.FINISH_REASON_MAX_DURATION


async def test_hundreds_of_calls_that_end_anyhow_leave_no_session_or_task() -> None:
    rng = np.random.default_rng(5)
    async with serving(FakeModel(eos_after=20), slots=3, max_queue=100) as server:

        async def one(index: int) -> None:
            stream = await server.open(conversation_id=f"talk-{index % 7}" if index % 2 else "")
            with contextlib.suppress(grpc.aio.AioRpcError):
                await stream.say(f"number {index}")
                await stream.turn(frames_only=int(rng.integers(1, 8)))
                if index % 3 == 0:
                    stream.call.cancel()
                elif index % 3 == 1:
                    await stream.send(cancel=generator_pb2.GenerateCancel())
                    assert (await stream.turn()).completed
                    await stream.end()
                else:
                    while (r := await stream.read()) and not r.HasField("turn_completed"):
                        pass
                    await stream.end()
            if (code := await stream.call.code()) is grpc.StatusCode.FAILED_PRECONDITION:
                # Another call of the conversation has a turn under way.
                refused.append(index)
            else:
                assert code in (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED)

        refused: list[int] = []
        before = len(asyncio.all_tasks())
        for start in range(0, 200, 20):
            await asyncio.gather(*(one(index) for index in range(start, start + 20)))
        await server.empty()
        await server.settled(lambda: len(asyncio.all_tasks()) <= before + 3)
        assert len(refused) < 100


async def test_a_drain_lets_a_stream_speak_its_next_sentences() -> None:
    async with serving(slots=1, max_queue=4) as server:
        stream = await server.open(initial_credit_frames=1)
        await stream.say("hello", "first")
        await stream.turn(frames_only=1)
        stop = asyncio.create_task(server.host.stop(finish_s=10))
        await asyncio.sleep(0.1)
        await stream.send(credit=generator_pb2.GenerateCredit(frames=100))
        assert (await stream.turn()).completed
        for number in range(2):
            await asyncio.sleep(0.2)
            await stream.say("and again", f"next {number}")
            heard = await stream.turn()
            assert heard.completed
            assert heard.completed.finish_reason == common_pb2.FINISH_REASON_MAX_DURATION
        await stream.end()
        await asyncio.wait_for(stop, 5)


async def test_after_its_time_a_drain_begins_no_turn() -> None:
    async with serving(slots=1) as server:
        engine, order = server.service.engine, []
        end_all = engine.end_all

        def ends(reason: FinishReason) -> None:
            order.append(engine.draining)
            end_all(reason)

        engine.end_all = ends
        stream = await server.open(initial_credit_frames=1)
        await stream.say("hello", "first")
        await stream.turn(frames_only=1)
        stop = asyncio.create_task(server.host.stop(finish_s=0.2))
        heard = await stream.turn()
        assert heard.completed
        assert heard.completed.finish_reason == common_pb2.FINISH_REASON_SHUTDOWN
        assert (await stream.error()).code is grpc.StatusCode.UNAVAILABLE
        # Nothing is admitted any more when all that was admitted ends.
        assert order == [True]
        await asyncio.wait_for(stop, 5)
