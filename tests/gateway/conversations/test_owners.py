"""Conversations of several owners in one store: whatever they do, in any order, they never meet."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csm import errors
from gateway.conversations.in_process import InProcessStore
from gateway.conversations.key import ConversationKey
from gateway.conversations.memory import ConversationMemory
from gateway.conversations.redis import commands
from gateway.conversations.store import ConversationStore
from tests.gateway.conversations.making import WIDE, segment, turn
from tests.gateway.conversations.redis.server import (
    RedisServer,
    needs_redis,
    redis_server,
    redis_store,
)

NAMES = st.text(max_size=12) | st.sampled_from(["a", "a/b", "b/c", "", "{", "}", "}:head", "*"])
OWNERS = ("a", "a/b", "", "ü*{}")
IDS = ("c", "b/c", "}:turns")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(OWNERS),
        st.sampled_from(("say", "read", "delete", "ids", "count", "open twice")),
        st.sampled_from(IDS),
    ),
    max_size=30,
)


async def follow(store: ConversationStore, steps: list[tuple[str, str, str]]) -> None:
    """Does the steps, and compares each with a model that has a dictionary for each owner."""
    model: dict[str, dict[str, list[str]]] = {owner: {} for owner in OWNERS}
    for number, (owner, step, name) in enumerate(steps):
        known = model[owner]
        match step:
            case "say":
                conversation = await store.open(name, "v", 1.0, owner=owner)
                assert [t.turn_id for t in conversation.turns] == known.get(name, [])
                conversation.add(turn(f"{owner} {number}", segment("Hello.", 2)))
                known.setdefault(name, []).append(f"{owner} {number}")
                await closed(store, conversation)
            case "open twice":
                held = [await store.open(name, "v", 1.0, owner=one) for one in OWNERS]
                for one, conversation in zip(OWNERS, held, strict=True):
                    assert conversation.owner == one
                    assert [t.turn_id for t in conversation.turns] == model[one].get(name, [])
                    await closed(store, conversation)
            case "read":
                if name in known:
                    read = await store.read(name, owner=owner)
                    assert [t.turn_id for t in read.turns] == known[name]
                else:
                    with pytest.raises(errors.NotFound):
                        await store.read(name, owner=owner)
            case "delete":
                if known.pop(name, None) is None:
                    with pytest.raises(errors.NotFound):
                        await store.delete(name, 1.0, owner=owner)
                else:
                    await store.delete(name, 1.0, owner=owner)
            case "ids":
                assert sorted(await store.ids(owner)) == sorted(known)
            case "count":
                for one, kept in model.items():
                    assert await store.count(one) == len(kept)
                    assert (await store.num_bytes(one) > 0) == bool(kept)
    for owner, known in model.items():
        assert sorted(await store.ids(owner)) == sorted(known)


async def closed(store: ConversationStore, conversation: Any) -> None:
    store.close(conversation)
    async with asyncio.timeout(3):
        await conversation.free.wait()


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_owners_never_meet_in_one_process(steps: list[tuple[str, str, str]]) -> None:
    memory = ConversationMemory(max_conversations=100, max_bytes=1 << 30, ttl_s=100.0, limits=WIDE)
    asyncio.run(follow(InProcessStore(memory), steps))
    for conversation in list(memory._kept.values()):
        memory.forget(conversation)
    assert (memory.num_bytes, memory._shares._of) == (0, {})


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


@needs_redis
@given(steps=STEPS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_owners_never_meet_in_redis(
    running: RedisServer, steps: list[tuple[str, str, str]]
) -> None:
    async def run() -> None:
        async with redis_store(running.url, timeout_s=5.0) as store:
            await follow(store, steps)

    running.client().flushall()
    asyncio.run(run())


@given(NAMES, NAMES, NAMES, NAMES)
def test_two_keys_are_one_only_where_owner_and_id_are(a: str, b: str, c: str, d: str) -> None:
    one, other = ConversationKey(a, b), ConversationKey(c, d)
    heads = [commands._head(one), commands._head(other)]
    assert (heads[0] == heads[1]) == (one == other)
    for key in (*heads, commands._turns(one)):
        # One hash tag, which is all that a cluster looks at, and no sign of a pattern.
        assert key.count("{") == key.count("}") == 1
        assert not set(key) & set("*?[]\\")
        assert key.isascii()


def test_keys_of_no_owner_are_those_of_before_there_were_owners() -> None:
    assert commands._head(ConversationKey("", "talk")) == "csm:1:{/talk}:head"
    assert commands._turns(ConversationKey("", "a/b")) == "csm:1:{/a%2Fb}:turns"
    assert commands._head(ConversationKey("acme", "talk")) == "csm:1:{acme/talk}:head"


@needs_redis
async def test_what_an_owner_has_in_redis_is_counted_until_it_expires(running: RedisServer) -> None:
    running.client().flushall()
    async with (
        redis_store(running.url, ttl_s=0.3, lease_s=0.1) as one,
        redis_store(running.url, ttl_s=0.3, lease_s=0.1) as other,
    ):
        for name in ("x", "y"):
            conversation = await one.open(name, "v", 0, owner="a")
            conversation.add(turn(name, segment("Hello.", 100)))
            await closed(one, conversation)
        empty = await one.open("nothing said", "v", 0, owner="a")
        await closed(one, empty)
        assert (await other.count("a"), await other.count("b"), await other.count("")) == (2, 0, 0)
        num_bytes = await other.num_bytes("a")
        assert 2 * 400 < num_bytes < 20_000
        again = await other.open("x", "v", 1.0, owner="a")
        again.add(turn("z", segment("Again.", 1000)))
        await closed(other, again)
        assert await one.count("a") == 2
        assert await one.num_bytes("a") > num_bytes + 4000
        await asyncio.sleep(0.5)
        assert (await one.count("a"), await one.num_bytes("a")) == (0, 0)
    assert running.client().keys("csm:1:{a/}:*") == []
