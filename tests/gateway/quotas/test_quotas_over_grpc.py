"""Quotas as callers meet them: each refused by its name, in time, and what it costs nobody."""

import asyncio
from typing import Any

import grpc
import pytest

from csm import errors
from csm.errors import rpc_error_details
from csm.v1 import speech_pb2
from tests.gateway.calls import Conversation, synthesize
from tests.gateway.fakes import CANCELLED, EOS, ERROR, Stack, stack
from tests.gateway.quotas.asking import quota_of, refused, streams_of
from tests.gateway.stolen import said
from tests.gateway.tenants import as_tenant, identified_stack
from tests.gateway.voices.making import create, create_requests

pytestmark = pytest.mark.asyncio

FRAME_S = 0.08


def retry_s(error: grpc.RpcError) -> float:
    wait_s = errors.asked_wait_s(rpc_error_details(error))
    assert wait_s is not None
    return wait_s


async def test_streams_at_once_are_exactly_as_many_as_allowed() -> None:
    async with identified_stack(quota_streams=4) as served:
        served.generator.mute.clear()
        a = as_tenant(served, "a")
        calls = [asyncio.create_task(synthesize(a, "One two three.")) for _ in range(12)]
        _, running = await asyncio.wait(calls, timeout=1.5)
        assert len(running) == 4
        # Another tenant has its own.
        other = asyncio.create_task(synthesize(as_tenant(served, "b"), "Hello."))
        served.generator.mute.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(not isinstance(one, BaseException) for one in results) == 4
        for one in results:
            if isinstance(one, grpc.aio.AioRpcError):
                assert quota_of(one) == "tenant:a/streams"
                assert retry_s(one) == 1.0
        assert (await other).completed[0].finish_reason == EOS
        await served.settled()
        assert streams_of(served) == {}
        assert (
            served.sample(
                "csm_gateway_tenant_quota_refusals_total", tenant="other", quota="streams"
            )
            == 8
        )


async def test_a_converse_call_is_one_stream_whatever_is_said_in_it() -> None:
    async with stack(quota_streams=1) as served:
        async with Conversation(served) as call:
            for number in (1, 2):
                await call.say("Hello.")
                await call.end()
                assert (await call.until("turn_completed", number)).finish_reason == EOS
            assert quota_of(await refused(synthesize(served, "No."))) == "tenant:/streams"
        await served.settled()
        assert (await synthesize(served, "Yes.")).completed[0].finish_reason == EOS


async def test_requests_a_minute_and_when_to_come_back() -> None:
    async with stack(quota_requests_per_minute=2) as served:
        await synthesize(served, "One.")
        await served.stub.PrepareText(speech_pb2.PrepareTextRequest(text="Two."))
        for call in (
            synthesize(served, "Three."),
            served.stub.PrepareText(speech_pb2.PrepareTextRequest(text="Three.")),
            served.stub.CreateVoice(create_requests("anna")),
        ):
            error = await refused(call)
            assert quota_of(error) == "tenant:/requests_per_minute"
            assert 50 < retry_s(error) <= 60
        # What tells and what gives back is never refused.
        await served.stub.ListVoices(speech_pb2.ListVoicesRequest())
        await served.stub.GetServerInfo(speech_pb2.GetServerInfoRequest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.stub.DeleteVoice(speech_pb2.DeleteVoiceRequest(name="nobody"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_characters_a_day_are_those_of_texts_that_were_spoken() -> None:
    async with stack(quota_characters_per_day=20) as served:
        await synthesize(served, "Ten chars.")
        error = await refused(synthesize(served, "Eleven, no."))
        assert quota_of(error) == "tenant:/characters_per_day"
        assert 86_000 < retry_s(error) <= 86_400
        # Nothing of it was counted, nor is what cannot be spoken.
        served.generator.refuse = [errors.QueueFull("full")]
        await refused(synthesize(served, "Ten chars."))
        await counted(served)
        await synthesize(served, "Ten chars.")
        assert quota_of(await refused(synthesize(served, "No."))) == "tenant:/characters_per_day"
        assert served.sample("csm_gateway_tenant_characters_total", tenant="other") == 20


async def test_audio_that_runs_out_in_mid_turn_ends_with_the_next() -> None:
    async with stack(quota_audio_seconds_per_day=1) as served:
        heard = await synthesize(served, "This is a text of a hundred characters or so. " * 3)
        assert heard.completed[0].finish_reason == EOS
        assert len(heard.frames) * FRAME_S > 2
        error = await refused(synthesize(served, "Next."))
        assert quota_of(error) == "tenant:/audio_seconds_per_day"
        assert 86_000 < retry_s(error) <= 86_400
        counted_s = served.sample("csm_gateway_tenant_audio_seconds_total", tenant="other")
        assert counted_s == pytest.approx(len(heard.frames) * FRAME_S)


async def test_a_later_turn_of_a_call_is_refused_in_band() -> None:
    async with stack(quota_requests_per_minute=3) as served, Conversation(served) as call:
        for number in (1, 2):
            await call.say("Hello.")
            await call.end()
            assert (await call.until("turn_completed", number)).finish_reason == EOS
        for number in (3, 4):
            await call.say("No more.")
            await call.end()
            completed = await call.until("turn_completed", number)
            assert completed.finish_reason == ERROR
            assert completed.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
            error = errors.from_status_message(completed.error, "gateway")
            assert isinstance(error, errors.QuotaExceeded)
            assert error.subject == "tenant:/requests_per_minute"
        await call.done()
        assert call.error is None
        assert [t.finish_reason for t in call.all("turn_completed")].count(EOS) == 2


async def test_a_turn_under_way_is_completed_and_what_was_written_later_counts() -> None:
    async with stack(quota_characters_per_day=20) as served, Conversation(served) as call:
        await call.say("Hello there you. ")
        await call.until("turn_started")
        await call.say("And this is a lot more than twenty characters. ")
        await call.end()
        assert (await call.until("turn_completed")).finish_reason == EOS
        await call.say("No.")
        await call.end()
        assert (await call.until("turn_completed", 2)).finish_reason == ERROR


async def test_the_audio_that_was_sent_of_a_cancelled_turn_counts() -> None:
    async with stack(quota_audio_seconds_per_day=100) as served, Conversation(served) as call:
        served.generator.frame_s = 0.02
        await call.say("This is a text of a hundred characters or so. " * 3)
        await call.end()
        await call.until("audio", 3)
        await call.cancel()
        assert (await call.until("turn_completed")).finish_reason == CANCELLED
        sent_s = sum(len(a.audio) for a in call.all("audio")) / 48_000
        await counted(served)
        store = served.service._speech.quotas._store
        assert store is not None
        ms = await store.add("tenant::audio_seconds_per_day", 86_400, 0)
        assert ms == pytest.approx(sent_s * 1000, abs=1)


async def counted(served: Stack) -> None:
    """Returns when all that is over is counted."""
    quotas = served.service._speech.quotas
    while quotas._tasks:
        await asyncio.sleep(0.01)


async def gone(served: Stack) -> None:
    call = served.stub.Synthesize(speech_pb2.SynthesizeRequest(text="Hello there. " * 9))
    await call.read()
    call.cancel()


async def too_late(served: Stack) -> None:
    await refused(synthesize(served, "Hello there. " * 9, timeout_s=0.2))


async def failing(served: Stack) -> None:
    served.generator.refuse = [errors.InvalidArgument(errors.FieldViolation("text", "no"))] * 3
    await refused(synthesize(served, "Hello."))


async def moved(served: Stack) -> None:
    served.generator.fail_before_frame = {2: errors.Unavailable("gone")}
    served.generator.frame_s = 0.0
    await synthesize(served, "Hello there you all.")


async def wrong(served: Stack) -> None:
    await refused(synthesize(served, "Hello.", voice="nobody"))


async def closed_by_client(served: Stack) -> None:
    async with Conversation(served) as call:
        await call.say("Hello there. " * 9)
        await call.end()
        await call.until("audio")


async def in_use(served: Stack) -> None:
    async with Conversation(served, conversation_id="one") as call:
        await call.until("started")
        async with Conversation(served, conversation_id="one") as second:
            await second.failed()


ENDS = (gone, too_late, failing, moved, wrong, closed_by_client, in_use)


@pytest.mark.parametrize("ends", ENDS, ids=lambda one: one.__name__)
async def test_a_stream_is_free_however_it_ends(ends: Any) -> None:
    async with stack(quota_streams=2) as served:
        served.generator.frame_s = 0.02
        await ends(served)
        served.generator.refuse = []
        await served.settled()
        await counted(served)
        assert streams_of(served) == {}
        assert served.service._speech.quotas._sent_ms == {}


async def test_voices_and_bytes_are_bounded_for_a_tenant() -> None:
    async with identified_stack(quota_voices=1, quota_bytes=20_000) as served:
        a, b = as_tenant(served, "a"), as_tenant(served, "b")
        await create(a, "one")
        assert quota_of(await refused(create(a, "two"))) == "tenant:a/voices"
        await create(b, "two")
        await a.stub.DeleteVoice(speech_pb2.DeleteVoiceRequest(name="one"))
        await create(a, "two")
        await said(a, "long", "This is a long text. " * 60)
        await served.settled()
        assert await served.service.store.num_bytes("a") > 15_000
        async with Conversation(a) as call:
            assert quota_of(await call.failed()) == "tenant:a/bytes"
        assert (
            quota_of(await refused(synthesize(a, "Hi.", conversation_id="long")))
            == "tenant:a/bytes"
        )
        # What keeps nothing is spoken.
        assert (await synthesize(a, "Hi.")).completed[0].finish_reason == EOS
        await a.stub.DeleteConversation(
            speech_pb2.DeleteConversationRequest(conversation_id="long")
        )
        assert (await synthesize(a, "Hi.", conversation_id="long")).completed


async def test_two_voices_made_at_once_are_not_one_too_many() -> None:
    async with stack(quota_voices=1) as served:
        made = await asyncio.gather(
            *(create(served, f"voice{n}") for n in range(4)), return_exceptions=True
        )
        assert sum(not isinstance(one, BaseException) for one in made) == 1
        assert served.service._speech.quotas._making == {}
