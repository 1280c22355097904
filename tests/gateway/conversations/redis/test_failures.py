"""A store that is away, killed, full, slow or cut off: calls go on, and what is missing follows."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from csm import errors
from gateway.conversations.conversation import StoredConversation
from gateway.conversations.key import ConversationKey
from gateway.conversations.redis.commands import StoreFailure
from gateway.conversations.redis.store import RedisStore
from tests.gateway.conversations.making import segment, turn
from tests.gateway.conversations.redis.server import (
    RedisServer,
    closed,
    needs_redis,
    redis_server,
    redis_store,
    relay,
    said,
)

pytestmark = needs_redis
KEY = ConversationKey("", "c")

UNREACHABLE = "the store of conversations cannot be reached"
LATE = "the store of conversations does not answer in time"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with redis_store(server.url) as one:
        yield one


async def saved(conversation: StoredConversation, within_s: float = 3.0) -> None:
    """Returns when nothing is missing in the store."""
    async with asyncio.timeout(within_s):
        while await conversation.unsaved():
            await asyncio.sleep(0.02)


async def test_a_killed_store_that_comes_back_gets_all_that_is_missing_in_order(
    server: RedisServer, store: RedisStore
) -> None:
    here = await store.open("c", "v", 0)
    here.add(turn("1", segment("before", 2)))
    assert await here.unsaved() == ""
    server.end()
    for name in "23":
        here.add(turn(name, segment("meanwhile", 2)))
        began = time.monotonic()
        assert await here.unsaved() == UNREACHABLE
        assert time.monotonic() - began < 1.5
    here.truncate("2", 80, 80.0)
    server.up()
    here.add(turn("4", segment("after", 2)))
    await saved(here)
    assert said(StoredConversation("", "", here.limits, (await store._commands.turns(KEY))[0])) == (
        said(here)
    )
    assert [t.num_frames for t in here.turns] == [2, 1, 2, 2]


async def test_a_store_that_comes_back_empty_gets_the_whole_conversation(
    server: RedisServer, store: RedisStore
) -> None:
    here = await store.open("c", "v", 0)
    here.add(turn("1", segment("before", 2)))
    assert await here.unsaved() == ""
    server.client().flushall()
    here.add(turn("2", segment("after", 2)))
    assert await here.unsaved() == ""
    assert [t.turn_id for t in (await store._commands.turns(KEY))[0]] == ["1", "2"]
    server.client().flushall()
    await closed(store, here)
    assert [t.turn_id for t in (await store.read("c")).turns] == ["1", "2"]


async def test_a_store_that_lost_the_last_writes_gets_the_whole_conversation(
    server: RedisServer, store: RedisStore
) -> None:
    here = await store.open("c", "v", 0)
    for name in "123":
        here.add(turn(name, segment(name, 2)))
        assert await here.unsaved() == ""
    client = server.client()
    client.rpop("csm:1:{/c}:turns")
    client.hset("csm:1:{/c}:head", "revision", "1.2")
    here.add(turn("4", segment("4", 2)))
    assert await here.unsaved() == ""
    client.delete("csm:1:{/c}:turns")  # as an eviction does
    here.add(turn("5", segment("5", 2)))
    assert await here.unsaved() == ""
    assert [t.turn_id for t in (await store._commands.turns(KEY))[0]] == ["1", "2", "3", "4", "5"]


async def test_a_full_store_warns_keeps_the_lease_and_gives_what_it_has(
    server: RedisServer, store: RedisStore
) -> None:
    here = await store.open("c", "v", 0)
    here.add(turn("1", segment("before", 2)))
    assert await here.unsaved() == ""
    client = server.client()
    client.config_set("maxmemory", 1)
    here.add(turn("2", segment("too much", 2)))
    assert await here.unsaved() == "the store of conversations is full"
    assert [t.turn_id for t in (await store._commands.turns(KEY))[0]] == ["1"]
    writer = store._writers[here]
    await store._commands.renew(KEY, writer._fence)
    async with redis_store(server.url) as other:
        with pytest.raises(errors.FailedPrecondition, match="in use"):
            await other.open("c", "v", 0)
        client.config_set("maxmemory", 0)
        await saved(here)
        await closed(store, here)
        client.config_set("maxmemory", 1)
        there = await other.open("c", "v", 0)
        assert said(there) == said(here)
        assert [t.turn_id for t in there.turns] == ["1", "2"]
        with pytest.raises(StoreFailure, match="is full"):
            await other._commands.open(ConversationKey("", "new"), "n", "v", "cd", again=False)
        client.config_set("maxmemory", 0)


async def test_a_write_whose_answer_was_lost_is_not_done_twice(server: RedisServer) -> None:
    async with relay(server) as between, redis_store(between.url) as store:
        here = await store.open("c", "v", 0)
        here.add(turn("1", segment("1", 2)))
        assert await here.unsaved() == ""
        server.client().execute_command("CLIENT", "PAUSE", 500)
        here.add(turn("2", segment("2", 2)))
        began = time.monotonic()
        assert await here.unsaved() == LATE
        assert time.monotonic() - began < 1.5
        here.add(turn("3", segment("3", 2)))
        await saved(here)
        turns, keys = await store._commands.turns(KEY)
        assert [t.turn_id for t in turns] == ["1", "2", "3"]
        assert len(keys) == 3


async def test_a_call_is_not_held_up_by_a_store_behind_a_cut_line(server: RedisServer) -> None:
    async with relay(server) as between, redis_store(between.url, timeout_s=1.0) as store:
        here = await store.open("c", "v", 0)
        between.cut()
        here.add(turn("1", segment("1", 2)))
        began = time.monotonic()
        assert await here.unsaved() == LATE
        first_s = time.monotonic() - began
        here.add(turn("2", segment("2", 2)))
        assert await here.unsaved() == LATE
        assert first_s < 3
        # It does not wait once more.
        assert time.monotonic() - began - first_s < 0.8
        between.mend()
        await saved(here)
        assert said(await store.read("c")) == said(here)


async def test_who_was_cut_off_longer_than_its_lease_does_not_write_over_another(
    server: RedisServer,
) -> None:
    async with (
        relay(server) as between,
        redis_store(between.url, lease_s=0.5) as lost,
        redis_store(server.url) as other,
    ):
        here = await lost.open("c", "v", 0)
        here.add(turn("1", segment("1", 2)))
        await saved(here)
        between.cut()
        here.add(turn("mine", segment("x", 2)))
        there = await other.open("c", "v", 1.5)
        there.add(turn("theirs", segment("y", 2)))
        await saved(there)
        between.mend()
        async with asyncio.timeout(3):
            while "taken" not in await here.unsaved():
                await asyncio.sleep(0.02)
        await closed(lost, here)
        await closed(other, there)
        assert [t.turn_id for t in (await lost.read("c")).turns] == ["1", "theirs"]


async def test_a_conversation_begun_in_memory_joins_what_the_store_has(
    server: RedisServer,
) -> None:
    async with redis_store(server.url) as store:
        here = await store.open("c", "alice", 0)
        here.add(turn("1", segment("1", 2)))
        await closed(store, here)
    server.end()
    async with redis_store(server.url) as store:
        fresh = await store.open("c", "bob", 0)
        assert fresh.turns == []
        fresh.add(turn("2", segment("2", 2)))
        assert await fresh.unsaved() == UNREACHABLE
        server.up()
        fresh.add(turn("3", segment("3", 2)))
        await saved(fresh)
        assert [t.turn_id for t in fresh.turns] == ["1", "2", "3"]
        assert fresh.voice == "bob"
        await closed(store, fresh)
        assert said(await store.read("c")) == said(fresh)


async def test_what_a_call_left_unsaved_is_saved_when_the_store_is_back(
    server: RedisServer, store: RedisStore
) -> None:
    here = await store.open("c", "v", 0)
    server.end()
    here.add(turn("1", segment("1", 2)))
    await closed(store, here)
    assert said(await store.read("c")) == said(here)
    again = await store.open("c", "v", 0)
    assert again is here
    await closed(store, again)
    server.up()
    async with asyncio.timeout(4):
        while len(store):
            await asyncio.sleep(0.05)
    assert said(await store.read("c")) == said(here)


@pytest.mark.parametrize("fault", [errors.Unavailable("they do not fit"), ValueError("a fault")])
async def test_what_a_call_left_unsaved_waits_for_backends_that_fit_and_stays_free(
    server: RedisServer, fault: Exception
) -> None:
    faults: list[Exception] = []

    def codec() -> str:
        for one in faults:
            raise one
        return "cd"

    server.end()
    async with redis_store(server.url, codec=codec) as store:
        here = await store.open("c", "v", 0)
        here.add(turn("1", segment("1", 2)))
        faults.append(fault)
        server.up()
        told = "they do not fit" if isinstance(fault, errors.ServiceError) else "failed to write"
        assert told in await here.unsaved()
        await closed(store, here)
        await asyncio.sleep(1.2)  # what watches the store tries meanwhile
        assert here.free.is_set()
        faults.clear()
        async with asyncio.timeout(3):
            while len(store):
                await asyncio.sleep(0.05)
        assert said(await store.read("c")) == said(here)


async def test_the_next_call_has_the_conversation_though_the_line_was_cut_at_the_end_of_the_last(
    server: RedisServer,
) -> None:
    async with relay(server) as between, redis_store(between.url) as store:
        here = await store.open("c", "v", 0)
        between.cut()
        here.add(turn("1", segment("1", 2)))
        store.close(here)
        await asyncio.sleep(0.05)
        again = await store.open("c", "v", 0.25)
        assert again is here
        again.add(turn("2", segment("2", 2)))
        between.mend()
        await saved(again)
        assert [t.turn_id for t in (await store._commands.turns(KEY))[0]] == ["1", "2"]


async def test_what_a_call_left_unsaved_gives_way_to_what_others_have_written_since(
    server: RedisServer, store: RedisStore
) -> None:
    here = await store.open("c", "v", 0)
    here.add(turn("1", segment("1", 2)))
    await saved(here)
    server.client().config_set("maxmemory", 1)
    here.add(turn("lost", segment("x", 2)))
    await closed(store, here)
    assert len(store) == 1
    server.client().config_set("maxmemory", 0)
    async with redis_store(server.url) as other:
        there = await other.open("c", "v", 0.2)
        there.add(turn("2", segment("2", 2)))
        await saved(there)
        await closed(other, there)
    again = await store.open("c", "", 1.0)
    assert [t.turn_id for t in again.turns] == ["1", "2"]
    assert len(store) == 1


async def test_closed_refuses_while_the_store_is_away_and_is_not_ready(
    server: RedisServer,
) -> None:
    async with redis_store(server.url, fail="closed") as store:
        async with asyncio.timeout(2):
            while not store.ready():
                await asyncio.sleep(0.02)
        server.end()
        for _ in range(2):
            with pytest.raises(errors.Unavailable, match="cannot be reached") as refused:
                await store.open("c", "v", 0)
        assert refused.value.retry_after_s == 1.0
        assert len(store) == 0
        async with asyncio.timeout(3):
            while store.ready():
                await asyncio.sleep(0.02)
        server.up()
        async with asyncio.timeout(3):
            while not store.ready():
                await asyncio.sleep(0.02)
        assert (await store.open("c", "v", 0)).turns == []


async def test_reading_and_deleting_say_that_the_store_is_away(
    server: RedisServer, store: RedisStore
) -> None:
    server.end()
    for call in (store.read("c"), store.delete("c", 0), store.ids()):
        with pytest.raises(errors.Unavailable, match="cannot be reached"):
            await call
    assert store.ready()


async def test_operations_are_counted_by_what_became_of_them(server: RedisServer) -> None:
    async with redis_store(server.url) as store:
        metrics = store._commands._metrics
        here = await store.open("c", "v", 0)
        here.add(turn("1", segment("1", 2)))
        await saved(here)
        assert metrics.store_operations.labels("open", "ok")._value.get() == 1
        assert metrics.store_operations.labels("write", "ok")._value.get() == 1
        server.end()
        here.add(turn("2", segment("2", 2)))
        assert await here.unsaved() == UNREACHABLE
        assert metrics.store_operations.labels("write", "unreachable")._value.get() >= 1
