"""Leases that nobody has any more, of calls whose store was slow: they are given back."""

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest

from csm import errors
from gateway.conversations.key import ConversationKey
from gateway.conversations.redis.commands import RedisCommands, StoreFailure
from gateway.conversations.redis.leases import MAX_LEFT, LeftLeases
from tests.gateway.conversations.making import segment, turn
from tests.gateway.conversations.redis.server import (
    RedisServer,
    closed,
    needs_redis,
    redis_server,
    redis_store,
)

KEY = ConversationKey("", "c")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


@needs_redis
@pytest.mark.parametrize("what", ["refused", "begun in memory", "open already"])
async def test_a_store_that_hangs_leaves_no_lease_of_a_call_without_turns(
    what: str, server: RedisServer
) -> None:
    fail = "closed" if what == "refused" else "open"
    async with redis_store(server.url, fail=fail) as store, redis_store(server.url) as other:
        # Connections are made ahead: on a new one the store hangs before it is asked for a lease.
        for one in await asyncio.gather(*(store.open(str(n), "v", 0) for n in range(3))):
            await closed(store, one)
        here = await store.open("c", "v", 0) if what == "open already" else None
        with server.hanging():
            if what == "refused":
                with pytest.raises(errors.Unavailable, match="does not answer in time"):
                    await store.open("c", "v", 0)
            else:
                await closed(store, here or await store.open("c", "v", 0))
        # Much less than the lease.
        there = await other.open("c", "v", 3.0)
        there.add(turn("1", segment("1", 2)))
        await closed(other, there)
        assert (await store.read("c")).voice == "v"


@needs_redis
@pytest.mark.parametrize("what", ["opens", "deletes", "opens elsewhere after a stop"])
async def test_who_comes_back_is_not_refused_for_what_it_asked_itself(
    what: str, server: RedisServer
) -> None:
    async with redis_store(server.url, fail="closed") as store, redis_store(server.url) as other:
        await closed(store, await store.open("before", "v", 0))
        with server.hanging(), pytest.raises(errors.Unavailable):
            await store.open("c", "v", 0)
        if what == "opens":
            assert (await store.open("c", "v", 0)).turns == []
        elif what == "deletes":
            with pytest.raises(errors.NotFound):
                await store.delete("c", 0)
        else:
            await store.stop()
            assert (await other.open("c", "v", 0)).turns == []


@needs_redis
async def test_a_call_that_another_refuses_leaves_nothing_to_give_back(
    server: RedisServer,
) -> None:
    async with redis_store(server.url) as store, redis_store(server.url, fail="closed") as other:
        await store.open("c", "v", 0)
        with pytest.raises(errors.FailedPrecondition, match="in use"):
            await other.open("c", "v", 0)
        server.client().config_set("maxmemory", 1)
        with pytest.raises(errors.Unavailable, match="full"):
            await other.open("new", "v", 0)
        assert len(other._left) == 0


@needs_redis
async def test_a_no_leaves_what_was_asked_before_it_to_be_given_back(server: RedisServer) -> None:
    async with redis_store(server.url) as store:
        await closed(store, await store.open("before", "v", 0))
        with server.hanging():
            here = await store.open("c", "v", 0)
        server.client().config_set("maxmemory", 1)
        server.client().delete("csm:1:{/c}:head")  # as if only the next server were asked
        here.add(turn("1", segment("1", 2)))
        nonce = store._writers[here].lease
        assert nonce
        assert await here.unsaved() == "the store of conversations is full"
        assert store._writers[here].lease == nonce


@needs_redis
async def test_a_lease_is_given_back_that_is_given_after_the_store_was_asked_to(
    server: RedisServer,
) -> None:
    async with redis_store(server.url) as store:
        left = LeftLeases(store._commands)
        left.add(KEY, "nonce")
        assert not await left.give_back()
        await store._commands.open(KEY, "nonce", "v", "cd", again=False)
        assert await left.give_back()
        assert len(left) == 0
        assert (await store.open("c", "v", 0)).turns == []


class Asked:
    """Instead of a store: which leases it was asked to take back."""

    timeout_s = 0.1
    lease_s = 0.2

    def __init__(self) -> None:
        self.leases: list[str] = []
        self.failing = {""}

    async def close(self, key: ConversationKey, lease: str) -> bool:
        self.leases.append(lease)
        if lease in self.failing:
            raise StoreFailure("it is away")
        return False


def asked(store: Asked) -> LeftLeases:
    return LeftLeases(cast(RedisCommands, store))


async def test_leases_that_are_left_have_a_bound_and_an_end() -> None:
    store = Asked()
    left = asked(store)
    for number in range(MAX_LEFT + 10):
        left.add(KEY, str(number))
    assert len(left) == MAX_LEFT
    assert not await left.give_back()
    assert store.leases[0] == "10"
    await asyncio.sleep(0.25)
    # Once more, for one that was given in the last moment.
    assert not await left.give_back()
    assert len(left) == 0


async def test_a_lease_that_cannot_be_given_back_is_kept_and_lets_others_go_first() -> None:
    store = Asked()
    store.failing = {"a"}
    left = asked(store)
    for lease in "ab":
        left.add(KEY, lease)
    for _ in range(2):
        await left.give_back()
    assert store.leases == ["a", "b", "a"]
    await asyncio.sleep(0.25)
    await left.give_back()
    assert store.leases == ["a", "b", "a", "b", "a"]
    assert len(left) == 1


async def test_only_leases_of_one_conversation_are_given_back_where_it_is_named() -> None:
    store = Asked()
    left = asked(store)
    left.add(KEY, "mine")
    left.add(ConversationKey("alice", "c"), "another")
    await left.give_back(KEY)
    assert store.leases == ["mine"]
