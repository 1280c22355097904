"""Two tenants on one gateway: B presents A's ids and names, and finds nothing, as for any other.

Every RPC is in `STOLEN`, with a way to call it by an id or a name of A's, or in `WITHOUT`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio

from csm import errors
from csm.v1 import common_pb2, speech_pb2
from gateway.backends.affinity import AFFINITY_HEADER, affinity, generator_key, scope_of
from tests.gateway.calls import Conversation, synthesize, turns_of
from tests.gateway.conversations.redis.server import PROGRAM, redis_server
from tests.gateway.fakes import CODEBOOK_SIZE, EOS, Stack
from tests.gateway.stolen import (
    ID,
    OTHER_AUDIO,
    STOLEN,
    WITHOUT,
    Call,
    converse,
    converse_with_voice,
    created,
    outcome,
    said,
    synthesized,
)
from tests.gateway.tenants import RPCS, as_tenant, identified_stack
from tests.gateway.voices.making import AUDIO, WORDS, create, create_requests, names

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "secret-0001"
"""A's voice; `ID` is A's conversation."""
NO_ID, NO_NAME = "private-0002", "secret-0002"
"""Nobody's."""


@pytest.fixture(scope="module", params=["memory", "files", "redis"])
def kept_in(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    if request.param == "memory":
        yield {}
    elif request.param == "files":
        folder: Path = tmp_path_factory.mktemp("voices")
        yield {"created_voices_directory": folder}
    elif PROGRAM is None:
        pytest.skip("needs redis-server or valkey-server")
    else:
        with redis_server() as server:
            yield {"store_url": server.url}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(kept_in: dict[str, Any]) -> AsyncIterator[Stack]:
    async with identified_stack(voice_aliases="nick=demo", **kept_in) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def a(served: Stack) -> AsyncIterator[Any]:
    """A, who has a conversation and a voice; what was done to them in a test is undone."""
    one = as_tenant(served, "a")
    await create(one, NAME)
    await said(one, ID, "Hello there.", voice=NAME)
    yield one
    for tenant in ("a", "b", "c", ""):
        await forget_all(as_tenant(served, tenant))


@pytest.fixture
def b(served: Stack) -> Any:
    return as_tenant(served, "b")


async def forget_all(tenant: Any) -> None:
    for conversation_id in await tenant.service.store.ids(tenant.owner):
        await tenant.service._speech.delete_conversation(conversation_id, owner=tenant.owner)
    for voice in (await tenant.stub.ListVoices(speech_pb2.ListVoicesRequest())).voices:
        if voice.source == speech_pb2.VOICE_SOURCE_CREATED:
            await tenant.stub.DeleteVoice(speech_pb2.DeleteVoiceRequest(name=voice.name))


CASES = [(rpc, call) for rpc, calls in STOLEN.items() for call in calls]


async def test_every_rpc_is_here() -> None:
    assert sorted(RPCS) == sorted([*STOLEN, *WITHOUT])


@pytest.mark.parametrize("call", [c for _, c in CASES], ids=[f"{r}-{c.__name__}" for r, c in CASES])
async def test_what_belongs_to_a_is_to_b_what_does_not_exist(a: Any, b: Any, call: Call) -> None:
    own = (ID, NAME, NO_ID, NO_NAME)
    nothing = await outcome(call(b, NO_ID, NO_NAME), *own)
    stolen = await outcome(call(b, ID, NAME), *own)
    assert stolen == nothing
    # And A has everything as before.
    assert [t[2:] for t in await turns_of(a, ID)] == [("Hello there.", 240)]
    shown = await a.stub.GetVoice(speech_pb2.GetVoiceRequest(name=NAME))
    assert (shown.voice.description, len(shown.recordings)) == ("", 1)


@pytest.mark.parametrize(
    "call",
    [c for r, c in CASES if c not in (converse, created, synthesized)],
    ids=[f"{r}-{c.__name__}" for r, c in CASES if c not in (converse, created, synthesized)],
)
async def test_the_same_calls_find_it_where_a_makes_them(a: Any, call: Call) -> None:
    """Or the test above would not tell anything."""
    own = (ID, NAME, NO_ID, NO_NAME)
    if call is converse_with_voice:
        await said(a, "", "One.", voice=NAME)
        return
    mine = await outcome(call(a, ID, NAME), *own)
    nothing = await outcome(call(a, NO_ID, NO_NAME), *own)
    assert mine != nothing


async def test_two_tenants_that_both_say_demo_each_have_their_own(served: Stack) -> None:
    one, other = as_tenant(served, "a"), as_tenant(served, "b")
    for tenant, audio in ((one, AUDIO), (other, OTHER_AUDIO)):
        await create(tenant, "demo", recordings=((WORDS, audio),))
    async with (
        Conversation(one, conversation_id="demo", voice="demo") as mine,
        Conversation(other, conversation_id="demo", voice="Demo") as yours,
    ):
        for call, text in ((mine, "Mine alone."), (yours, "Yours is another one.")):
            await call.say(text)
            await call.end()
            await call.until("turn_completed")
        streams = served.generator.streams[-2:]
        assert [s.config.conversation_id for s in streams] == [
            generator_key("a", "demo"), generator_key("b", "demo"),
        ]  # fmt: skip
        assert [first_code(s.context[0]) for s in streams] == [
            len(audio) % CODEBOOK_SIZE for audio in (AUDIO, OTHER_AUDIO)
        ]
        metadata = served.generator.metadata[-2:]
        for owner, sent in zip("ab", metadata, strict=True):
            expected = affinity(generator_key(owner, "demo")) + scope_of(owner)
            assert set(expected) <= set(sent.items())
        assert metadata[0][AFFINITY_HEADER] != metadata[1][AFFINITY_HEADER]
    await served.settled()
    assert [t[2] for t in await turns_of(one, "demo")] == ["Mine alone."]
    assert [t[2] for t in await turns_of(other, "demo")] == ["Yours is another one."]
    # The voice that is kept with the conversation, an alias, and a tag in a text.
    for tenant, audio in ((one, AUDIO), (other, OTHER_AUDIO)):
        code = len(audio) % CODEBOOK_SIZE
        for config, text in (
            ({"conversation_id": "demo"}, "Again."),
            ({"voice": "nick"}, "By an alias."),
            ({}, "[voice: demo] By its tag."),
        ):
            await said(tenant, config.pop("conversation_id", ""), text, **config)
            pinned = [s for s in served.generator.streams[-1].context if s.pinned]
            assert [first_code(s) for s in pinned] == [code], (tenant.owner, text)
    # One goes, the other stays.
    await other.stub.DeleteVoice(speech_pb2.DeleteVoiceRequest(name="demo"))
    await other.stub.DeleteConversation(
        speech_pb2.DeleteConversationRequest(conversation_id="demo")
    )
    assert served.generator.evicted[-1] == generator_key("b", "demo")
    assert (await names(one), await names(other)) == (["demo", "fake"], ["fake"])
    assert len(await turns_of(one, "demo")) == 2
    await forget_all(one)


def first_code(segment: common_pb2.Segment) -> int:
    return int(np.frombuffer(segment.frames.codes, "<u2")[0])


async def test_a_turn_goes_on_elsewhere_under_its_tenants_key(served: Stack) -> None:
    generator, first = served.generator, len(served.generator.streams)
    generator.fail_before_frame = {2: errors.Unavailable("gone")}
    call = await said(as_tenant(served, "b"), "moves", "One two three four.")
    heard = await synthesize(as_tenant(served, "b"), "No conversation.")
    assert call.all("turn_completed")[0].usage.failovers == 1
    assert heard.completed[0].finish_reason == EOS
    key = generator_key("b", "moves")
    sent = generator.metadata[first:]
    assert [s.config.conversation_id for s in generator.streams[first:]] == [key, key, ""]
    assert all(set(scope_of("b")) <= set(one.items()) for one in sent)
    assert sent[2][AFFINITY_HEADER] not in (sent[0][AFFINITY_HEADER], sent[1][AFFINITY_HEADER])
    await said(as_tenant(served, ""), "plain", "Nobody's.")
    assert generator.streams[-1].config.conversation_id == "plain"
    assert not set(scope_of("b")[0][:1]) & set(generator.metadata[-1])
    for owner in ("", "b"):
        await forget_all(as_tenant(served, owner))


async def test_a_conversation_in_use_by_one_tenant_is_free_for_another(a: Any, b: Any) -> None:
    async with Conversation(a, conversation_id=ID) as held:
        await held.until("started")
        call = await said(b, ID, "Nobody has it.")
        assert call.all("started")[0].num_turns == 0
        assert call.all("turn_completed")[0].finish_reason == EOS
        await b.stub.DeleteConversation(speech_pb2.DeleteConversationRequest(conversation_id=ID))
        await held.say("Still mine.")
        await held.end()
        await held.until("turn_completed")
    await b.settled()
    assert [t[2] for t in await turns_of(a, ID)] == ["Hello there.", "Still mine."]


async def test_what_is_told_of_the_server_and_its_voices_is_the_same_for_all(
    a: Any, b: Any
) -> None:
    info = speech_pb2.GetServerInfoRequest()
    assert await a.stub.GetServerInfo(info) == await b.stub.GetServerInfo(info)
    listed = await b.stub.ListVoices(speech_pb2.ListVoicesRequest())
    assert (listed.num_voices, [v.name for v in listed.voices]) == (1, ["fake"])
    assert sorted(await names(a)) == ["fake", NAME]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(b, "One.", voice="none")
    assert "secret" not in str(caught.value.details())


async def test_the_models_voices_are_everybodys_and_nobodys_to_change(a: Any, b: Any) -> None:
    for tenant in (a, b):
        heard = await synthesize(tenant, "One.", voice="fake")
        assert heard.completed[0].finish_reason == EOS
        request = speech_pb2.DeleteVoiceRequest(name="fake")
        with pytest.raises(grpc.aio.AioRpcError, match="is the model's"):
            await tenant.stub.DeleteVoice(request)
        with pytest.raises(grpc.aio.AioRpcError, match="the model's"):
            await tenant.stub.CreateVoice(create_requests("Fake"))


async def test_what_is_kept_is_counted_for_its_owner(a: Any, b: Any) -> None:
    store, usage = a.service.store, a.service._speech.keeper.usage
    await b.settled()
    async with asyncio.timeout(5):
        while await store.count("a") != 1:
            await asyncio.sleep(0.01)
    assert await store.num_bytes("a") > 1000
    assert (await store.count("b"), await store.num_bytes("b")) == (0, 0)
    assert (usage.count("a"), usage.count("b"), usage.num_bytes("b")) == (1, 0, 0)
    assert usage.num_bytes("a") > 1000
    assert await store.ids("a") == [ID]
    assert await store.ids("b") == await store.ids("") == []
    await a.stub.DeleteConversation(speech_pb2.DeleteConversationRequest(conversation_id=ID))
    assert (await store.count("a"), await store.num_bytes("a")) == (0, 0)


ODD = ("a/b", "a", "{}", "}:turns", "*", "ü 二", "..", "A", "a%2Fb", "")


@pytest.mark.parametrize("owner", ODD)
async def test_odd_names_of_tenants_are_names_like_others(served: Stack, owner: str) -> None:
    tenant = as_tenant(served, owner)
    await create(tenant, "odd")
    await said(tenant, "b/c", "Hello.", voice="odd")
    for other in ODD:
        seen = as_tenant(served, other)
        assert ("odd" in await names(seen)) == (other == owner)
        assert await served.service.store.ids(other) == (["b/c"] if other == owner else [])
    await forget_all(tenant)
