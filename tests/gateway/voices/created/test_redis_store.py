"""Created voices in a real Redis: seen by every gateway, foreign data named, outages told."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client import CollectorRegistry

from csm import errors
from csm.serving.metrics import GatewayMetrics
from csm.v1 import speech_pb2
from gateway.conversations.redis.connection import connect
from gateway.voices.created import keeper
from gateway.voices.created.record import pack
from gateway.voices.created.redis_store import INDEX, LAST, RedisVoices, voice_key
from gateway.voices.created.store import Changes
from gateway.voices.voice import VoiceId
from tests.gateway.calls import Conversation, synthesize
from tests.gateway.conversations.redis.server import (
    RedisServer,
    needs_redis,
    redis_server,
    relay,
)
from tests.gateway.fakes import Stack, stack
from tests.gateway.voices.making import WORDS, create, create_requests, names, record, refusal

pytestmark = needs_redis


@pytest.fixture(scope="module")
def running_server() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


@pytest.fixture
def server(running_server: RedisServer) -> RedisServer:
    running_server.client().flushall()
    return running_server


@contextlib.asynccontextmanager
async def opened(url: str, most: int = 20_000) -> AsyncIterator[RedisVoices]:
    metrics = GatewayMetrics(CollectorRegistry())
    store = RedisVoices(connect(url, 2.0), metrics, 2.0, most)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


@pytest.fixture
async def one(server: RedisServer) -> AsyncIterator[RedisVoices]:
    async with opened(server.url) as store:
        yield store


@pytest.fixture
async def other(server: RedisServer) -> AsyncIterator[RedisVoices]:
    async with opened(server.url) as store:
        yield store


async def test_what_one_gateway_writes_another_reads(one: RedisVoices, other: RedisVoices) -> None:
    assert await other.changes() == Changes()
    await one.create(record("Anna"), [])
    await one.create(record("bert"), [])
    changes = await other.changes()
    assert sorted(changes.put, key=lambda r: r.key) == [record("Anna"), record("bert")]
    changed = await one.update("ANNA", lambda there: replace(there, description="loud"))
    assert changed.revision != record("Anna").revision
    assert await other.changes() == Changes([changed])
    await one.delete("BERT")
    assert await other.changes() == Changes(gone=[VoiceId("", "bert")])
    assert await other.changes() == Changes()


async def test_who_made_a_voice_is_told_that_it_went_before_the_next_look(
    one: RedisVoices, other: RedisVoices
) -> None:
    await one.create(record(), [])
    await other.delete("anna")
    assert await one.changes() == Changes(gone=[VoiceId("", "anna")])


async def test_a_name_is_had_once(one: RedisVoices, other: RedisVoices) -> None:
    made = await asyncio.gather(
        *(
            store.create(record(name, revision=f"{name}{i}"), [])
            for i, (store, name) in enumerate([(one, "Anna"), (other, "ANNA")] * 4)
        ),
        return_exceptions=True,
    )
    assert sum(answer is None for answer in made) == 1
    assert sum(isinstance(answer, errors.AlreadyExists) for answer in made) == 7


async def test_a_write_whose_answer_was_lost_is_known_when_it_is_made_again(
    one: RedisVoices,
) -> None:
    await one.create(record(), [])
    await one.create(record(), [])
    with pytest.raises(errors.AlreadyExists):
        await one.create(record(revision="another"), [])


async def test_changes_of_two_gateways_at_once_are_both_kept(
    server: RedisServer, one: RedisVoices, other: RedisVoices
) -> None:
    await one.create(record(), [])
    more = [
        store.update("anna", lambda there: replace(there, speaker=there.speaker + 1))
        for store in (one, other) * 4
    ]
    await asyncio.gather(*more)
    async with opened(server.url) as third:
        assert [there.speaker for there in (await third.changes()).put] == [12]


async def test_what_is_not_there_is_said(one: RedisVoices) -> None:
    with pytest.raises(errors.NotFound):
        await one.update("anna", lambda there: there)
    with pytest.raises(errors.NotFound):
        await one.delete("anna")


async def test_ten_thousand_voices_are_read_and_there_is_a_most(
    server: RedisServer, one: RedisVoices
) -> None:
    client = server.client()
    data = pack(record("v00000", revision="1"))
    made = [f"v{number:05}" for number in range(10_000)]
    client.mset({voice_key(name): data.replace(b"v00000", name.encode()) for name in made})
    client.hset(INDEX, mapping=dict.fromkeys(made, "1"))
    client.set(LAST, "x")
    began = time.monotonic()
    changes = await one.changes()
    assert len(changes.put) == 10_000
    assert time.monotonic() - began < 10
    async with opened(server.url, most=10_000) as bounded:
        with pytest.raises(errors.LimitReached, match="10000 voices are kept"):
            await bounded.create(record("more"), [])
        await bounded.delete("v00005")
        await bounded.create(record("more"), [])


async def test_a_store_that_is_full_refuses_and_reads_on(
    server: RedisServer, one: RedisVoices, other: RedisVoices
) -> None:
    await one.create(record(), [])
    server.client().config_set("maxmemory", 1)
    try:
        with pytest.raises(errors.LimitReached, match="the store of voices is full; delete"):
            await one.create(record("bert"), [])
        assert await other.changes() == Changes([record()])
        await one.delete("anna")
    finally:
        server.client().config_set("maxmemory", 0)


async def test_foreign_and_older_data_is_named(server: RedisServer, one: RedisVoices) -> None:
    client = server.client()
    await one.create(record("anna"), [])
    client.set(voice_key("anna"), b"CSV\x00" + bytes(20))
    client.hset(INDEX, "anna", "1")
    client.hset(INDEX, "bert", "1")
    client.hset(INDEX, "\u00fcnal", "1")
    client.hset(INDEX, "list", "1")
    client.rpush(voice_key("list"), "x")
    client.set(voice_key("cleo"), "of somebody")
    changes = await one.changes()
    assert not changes.put
    assert {one.key: why.rpartition(": ")[2] for one, why in changes.foreign.items()} == {
        "anna": "it is of format 0, and this gateway reads format 1",
        "bert": "its record is gone",
        "\u00fcnal": "its record is gone",
        "list": "its record is gone",
    }
    with pytest.raises(errors.FailedPrecondition, match=r"'anna': it is of format 0"):
        await one.update("anna", lambda there: there)
    with pytest.raises(errors.FailedPrecondition, match=r"'cleo': .* something else under its key"):
        await one.create(record("cleo"), [])
    for name in ("anna", "list", "cleo"):
        await one.delete(name)
    await one.create(record("cleo"), [])
    # The place of all voices.
    client.flushall()
    client.set(INDEX, "of somebody")
    for call in (one.create(record("dora"), []), one.delete("x"), one.changes()):
        with pytest.raises(errors.FailedPrecondition, match="is not of this gateway's format"):
            await call


@contextlib.asynccontextmanager
async def gateways(*urls: str, **settings: Any) -> AsyncIterator[list[Stack]]:
    async with contextlib.AsyncExitStack() as held:
        settings = {"store_timeout_s": 0.5, **settings}
        yield [await held.enter_async_context(stack(store_url=u, **settings)) for u in urls]


async def within(seconds: float, running: Stack, expected: list[str]) -> None:
    async with asyncio.timeout(seconds):
        while await names(running) != expected:
            await asyncio.sleep(0.05)


async def test_a_change_is_seen_by_another_gateway_within_seconds(server: RedisServer) -> None:
    async with gateways(server.url, server.url) as (here, there):
        await create(here, "anna", speaker=4)
        await within(4, there, ["anna", "fake"])
        await synthesize(there, "Hello.", voice="anna")
        assert there.generator.streams[-1].context[0].text == WORDS
        assert not there.tokenizer.files  # it was encoded once, elsewhere
        await there.stub.UpdateVoice(speech_pb2.UpdateVoiceRequest(name="anna", description="loud"))
        async with asyncio.timeout(4):
            while True:
                answer = await here.stub.GetVoice(speech_pb2.GetVoiceRequest(name="anna"))
                if answer.voice.description == "loud":
                    break
                await asyncio.sleep(0.05)
        await here.stub.DeleteVoice(speech_pb2.DeleteVoiceRequest(name="anna"))
        await within(4, there, ["fake"])


async def test_a_voice_that_was_just_made_is_spoken_by_the_next_gateway(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "FOLLOW_S", 60.0)
    async with gateways(server.url, server.url) as (here, there):
        for number in range(3):
            await create(here, f"anna{number}")
        await synthesize(there, "Hello.", voice="ANNA0")
        assert there.generator.streams[-1].context[0].text == WORDS
        await there.stub.GetVoice(speech_pb2.GetVoiceRequest(name="anna1"))
        await create(here, "bert")
        async with Conversation(there, voice="bert") as call:
            assert (await call.until("started")).voice == "bert"
        await create(here, "cleo")
        await there.stub.DeleteVoice(speech_pb2.DeleteVoiceRequest(name="cleo"))


async def test_a_voice_that_was_just_made_is_spoken_where_a_text_names_it(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "FOLLOW_S", 60.0)
    async with gateways(server.url, server.url) as (here, there):
        for name in ("anna", "bert", "cleo", "dora"):
            await create(here, name)
            if name == "anna":
                await synthesize(there, "Hello. [voice: ANNA] It is me.")
                spoken = there.generator.streams[-1].context
                assert [s.text for s in spoken if s.pinned] == [WORDS]
                continue
            async with Conversation(there) as call:
                if name == "bert":
                    await call.send(text=speech_pb2.ConverseText(text="It is me.", voice="Bert"))
                elif name == "cleo":
                    await call.say("[voi")
                    await call.say("ce: cl")
                    await call.say("eo] It is me.")
                else:
                    await call.say('<voice name="dora">It is me.</voice>')
                await call.end()
                completed = await call.until("turn_completed")
            assert not completed.warnings
            # One that nobody made is told, and asked for once.
            async with Conversation(there) as call:
                for _ in range(3):
                    await call.send(text=speech_pb2.ConverseText(text="Me. ", voice="eve"))
                await call.end()
                (warning,) = (await call.until("turn_completed")).warnings
            assert "'eve' is not known" in warning.description


async def test_a_voice_of_a_name_of_openai_is_spoken_over_http_where_it_was_just_made(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "FOLLOW_S", 60.0)
    async with gateways(server.url, server.url, http_port=0) as (here, there):
        await create(here, "alloy")
        asked = {"input": "Hello.", "model": "tts-1", "voice": "alloy", "response_format": "pcm"}
        async with httpx.AsyncClient(base_url=there.http) as http:
            answer = await http.post("/v1/audio/speech", json=asked)
        assert answer.status_code == 200
        assert "there is no alloy" not in answer.headers.get("x-csm-warnings", "")
        assert there.generator.streams[-1].context[0].text == WORDS


async def test_a_voice_of_another_codec_is_refused_by_name(server: RedisServer) -> None:
    async with opened(server.url) as store:
        await store.create(record("anna", codec="older"), [])
    async with gateways(server.url) as (running,):
        async with asyncio.timeout(5):
            told = ""
            while "recordings are not kept" not in told:
                error: Any = await refusal(synthesize(running, "Hello.", voice="anna"))
                assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
                told = error.details()
                await asyncio.sleep(0.05)
        assert "another codec" in told
        error = await refusal(running.stub.CreateVoice(create_requests("anna")))
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
        await running.stub.DeleteVoice(speech_pb2.DeleteVoiceRequest(name="anna"))
        await create(running, "anna")


async def test_a_store_that_is_away_costs_no_speech_and_is_told(server: RedisServer) -> None:
    async with relay(server) as between, gateways(between.url) as (running,):
        await create(running, "anna")
        between.cut()
        error: Any = await refusal(running.stub.CreateVoice(create_requests("bert")))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "the store of voices does not answer in time" in error.details()
        assert (await synthesize(running, "Hello.", voice="anna")).completed
        assert await names(running) == ["anna", "fake"]
        between.mend()
        async with opened(server.url) as store, asyncio.timeout(10):
            while True:
                with contextlib.suppress(errors.NotFound):
                    await store.delete("anna")
                # Bert may be there: nobody knew whether that write had come through.
                if "anna" not in await names(running):
                    break
                await asyncio.sleep(0.1)


async def test_a_gateway_starts_while_the_store_is_away_and_reads_it_when_it_comes(
    server: RedisServer,
) -> None:
    async with opened(server.url) as store:
        await store.create(record("anna"), [])
    async with relay(server) as between:
        between.cut()
        async with gateways(between.url) as (running,):
            assert await names(running) == ["fake"]
            between.mend()
            await within(5, running, ["anna", "fake"])
