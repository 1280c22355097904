"""Gateways that share a store: a conversation goes on wherever the client comes back."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm.errors import asked_wait_s, rpc_error_details
from csm.serving.metrics import Metrics
from csm.v1 import common_pb2, speech_pb2
from tests.gateway.calls import Conversation, synthesize, turns_of
from tests.gateway.conversations.redis.server import (
    RedisServer,
    needs_redis,
    redis_server,
    relay,
)
from tests.gateway.fakes import CANCELLED, EOS, FRAME_MS, Stack, stack

pytestmark = needs_redis

NOT_SAVED = common_pb2.WARNING_KIND_HISTORY_NOT_SAVED


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


@contextlib.asynccontextmanager
async def gateways(*urls: str, **settings: Any) -> AsyncIterator[list[Stack]]:
    async with contextlib.AsyncExitStack() as held:
        settings = {"store_timeout_s": 0.3, "store_lease_s": 0.5, **settings}
        yield [await held.enter_async_context(stack(store_url=u, **settings)) for u in urls]


async def spoken(call: Conversation, text: str) -> Any:
    """The terminal of a turn with that text."""
    count = len(call.all("turn_completed"))
    await call.say(text)
    await call.end()
    return await call.until("turn_completed", count + 1)


def warned(completed: Any) -> list[str]:
    assert all(w.field == "conversation_id" for w in completed.warnings)
    assert all(w.kind == NOT_SAVED for w in completed.warnings)
    return [w.description for w in completed.warnings]


async def test_a_conversation_goes_on_at_another_gateway_with_what_was_heard(
    server: RedisServer,
) -> None:
    async with gateways(server.url, server.url) as (one, two):
        async with Conversation(one, conversation_id="c") as call:
            await call.hear(3)
            await call.end("Hello?")
            await call.until("turn_completed")
            first = await spoken(call, "A whole sentence.")
            one.generator.frame_s = 0.03
            await call.say("This one is a good deal longer than anybody cares to listen to.")
            await call.end()
            while len(call.all("audio")) < 8:
                await asyncio.sleep(0.01)
            await call.cancel(heard_ms=200)
            cut = await call.until("turn_completed", 3)
            assert (cut.finish_reason, cut.kept_audio_ms) == (CANCELLED, 3 * FRAME_MS)
            assert not any(warned(c) for c in call.all("turn_completed"))
            await call.done()
        kept = await turns_of(one, "c")
        assert [ms for *_, ms in kept] == [240, first.kept_audio_ms, cut.kept_audio_ms]
        assert kept == await turns_of(two, "c")
        async with Conversation(two, conversation_id="c") as call:
            started = await call.until("started")
            assert (started.num_turns, started.voice) == (3, "fake")
            await spoken(call, "And on.")
        context = two.generator.streams[0].context
        assert [s.frames.num_frames for s in context] == [3, first.kept_audio_ms // FRAME_MS, 3]
        assert [s.text for s in context][:2] == ["Hello?", "A whole sentence."]
        assert len(await turns_of(one, "c")) == 4


async def test_a_conversation_outlives_a_restart_of_the_gateway(server: RedisServer) -> None:
    async with gateways(server.url) as (running,):
        heard = await synthesize(running, "Hello there.", conversation_id="c")
        await running.close()
        running.metrics = Metrics()
        await running.serve(running.settings)
        assert (await turns_of(running, "c"))[0][3] == heard.completed[0].kept_audio_ms
        async with Conversation(running, conversation_id="c") as call:
            assert (await call.until("started")).num_turns == 1
        await running.stub.DeleteConversation(
            speech_pb2.DeleteConversationRequest(conversation_id="c")
        )
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await turns_of(running, "c")
        assert gone.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_second_writer_elsewhere_is_refused_and_told_since_when(
    server: RedisServer,
) -> None:
    async with gateways(server.url, server.url) as (one, two):
        async with Conversation(one, conversation_id="c") as call:
            await spoken(call, "Hello.")
            await asyncio.sleep(0.7)  # longer than the lease
            async with Conversation(two, conversation_id="c") as other:
                error = await other.failed()
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
            age_s = float((error.details() or "").split("begun ")[1].split(" s ago")[0])
            assert 0.7 <= age_s < 5
            await call.done()
        async with Conversation(two, conversation_id="c") as free:
            assert (await free.until("started")).num_turns == 1


async def test_a_turn_whose_gateway_vanished_is_kept_but_for_its_last_second(
    server: RedisServer,
) -> None:
    async with relay(server) as between, gateways(between.url, server.url) as (one, two):
        one.generator.frame_s = 0.1
        async with Conversation(one, conversation_id="c") as call:
            await call.say("A sentence so long that it takes its time to be spoken to the end. ")
            await call.say("And another one that is about as long, so there is no end to it yet.")
            await call.end()
            await asyncio.sleep(1.2)
            between.cut()
            delivered = len(call.all("audio"))
            await asyncio.sleep(0.8)
            async with Conversation(two, conversation_id="c") as other:
                assert (await other.until("started")).num_turns == 1
                kept_ms = (await turns_of(two, "c"))[0][3]
                assert not call.all("turn_completed")
                assert kept_ms <= delivered * FRAME_MS
                assert kept_ms >= delivered * FRAME_MS - 1.0 / one.generator.frame_s * FRAME_MS
                await spoken(other, "I go on.")
                between.mend()
                completed = await call.until("turn_completed")
                assert completed.finish_reason == EOS
                [why] = warned(completed)
                assert "another call has taken the conversation over" in why
        assert [t[2] for t in await turns_of(two, "c")][1:] == ["I go on."]


async def test_speech_goes_on_without_the_store_and_what_is_missing_follows(
    server: RedisServer,
) -> None:
    async with gateways(server.url, server.url) as (one, two):
        async with Conversation(one, conversation_id="c") as call:
            assert warned(await spoken(call, "First.")) == []
            server.end()
            second = await spoken(call, "Second.")
            assert second.finish_reason == EOS
            assert warned(second) == [
                "heard, but not saved: the store of conversations cannot be reached"
            ]
            await call.hear(2)
            await call.end("Heard?")
            assert len(warned(await call.until("turn_completed", 3))) == 1
            server.up()
            assert warned(await spoken(call, "Fourth.")) == []
        texts = ["First.", "Second.", "Heard?", "Fourth."]
        assert [t[2] for t in await turns_of(two, "c")] == texts
        failed = one.sample(
            "csm_gateway_store_operations_total", operation="write", outcome="unreachable"
        )
        assert failed >= 2


async def test_a_slow_store_holds_no_audio_up_and_takes_no_barge_in_away(
    server: RedisServer,
) -> None:
    waits = {"store_timeout_s": 2.0, "store_lease_s": 5.0}
    async with relay(server) as between, gateways(between.url, **waits) as (running,):
        async with Conversation(running, conversation_id="c") as call:
            await spoken(call, "First.")
            between.cut()
            running.generator.frame_s = 0.01
            began = time.monotonic()
            await call.say("A sentence of some length.")
            await call.end()
            await call.until("audio", 7)
            assert time.monotonic() - began < 1.5
            await call.cancel(heard_ms=100)  # while the end of the turn waits for the store
            completed = await call.until("turn_completed", 2)
            assert completed.kept_audio_ms == 2 * FRAME_MS
            assert len(warned(completed)) == 1
            between.mend()
            await asyncio.sleep(0.1)
            assert warned(await spoken(call, "Third.")) == []
        assert [t[3] for t in await turns_of(running, "c")][1] == 2 * FRAME_MS


async def test_a_conversation_begins_in_memory_where_the_store_is_away(
    server: RedisServer,
) -> None:
    async with gateways(server.url) as (running,):
        await synthesize(running, "Before.", conversation_id="c")
        async with asyncio.timeout(3):
            while len(running.service.store):
                await asyncio.sleep(0.01)
        server.end()
        heard = await synthesize(running, "Without.", conversation_id="c")
        assert len(warned(heard.completed[0])) == 1
        assert [t[2] for t in await turns_of(running, "c")] == ["Without."]
        server.up()
        heard = await synthesize(running, "After.", conversation_id="c")
        assert warned(heard.completed[0]) == []
        texts = ["Before.", "Without.", "After."]
        assert [t[2] for t in await turns_of(running, "c")] == texts


async def test_a_gateway_that_fails_closed_refuses_and_is_not_ready(server: RedisServer) -> None:
    async with gateways(server.url, store_fail="closed") as (running,):
        health = health_pb2_grpc.HealthStub(running.channel)
        request = health_pb2.HealthCheckRequest(service="csm.v1.SpeechService")

        async def until_ready(wanted: bool) -> None:
            async with asyncio.timeout(5):
                serving = health_pb2.HealthCheckResponse.SERVING
                while ((await health.Check(request)).status == serving) is not wanted:
                    await asyncio.sleep(0.05)

        await until_ready(True)
        server.end()
        async with Conversation(running, conversation_id="c") as call:
            error = await call.failed()
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert asked_wait_s(rpc_error_details(error)) == 1.0
        await until_ready(False)
        # What needs no conversation is spoken as ever.
        assert (await synthesize(running, "Hello.")).completed[0].finish_reason == EOS
        server.up()
        await until_ready(True)
