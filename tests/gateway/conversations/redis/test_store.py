"""Conversations in a real Redis: written behind, taken up elsewhere, one writer at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from csm import errors
from gateway.conversations.conversation import ConversationLimits, StoredConversation
from gateway.conversations.key import ConversationKey
from gateway.conversations.redis.commands import LeaseLost
from gateway.conversations.redis.store import RedisStore
from gateway.conversations.timeline import Timeline
from gateway.conversations.turn import Turn
from tests.gateway.conversations.making import segment, turn
from tests.gateway.conversations.redis.server import (
    RedisServer,
    closed,
    needs_redis,
    redis_server,
    redis_store,
    said,
)

pytestmark = needs_redis
KEY = ConversationKey("", "c")


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    running.client().flushall()
    return running


@pytest.fixture
async def one(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with redis_store(server.url) as store:
        yield store


@pytest.fixture
async def other(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with redis_store(server.url) as store:
        yield store


async def test_a_conversation_goes_on_in_another_gateway_as_it_was(
    one: RedisStore, other: RedisStore
) -> None:
    here = await one.open("c", "alice", 0)
    here.add(turn("heard", segment("Hello?", 3, 1), heard=True))
    spoken = turn("spoken", segment("One.", 2), segment("Two: ü, 二.", 4))
    spoken.timeline = Timeline([(0, 200), (2, 300)])
    here.add(spoken)
    assert await here.unsaved() == ""
    await closed(one, here)
    assert len(one) == 0
    there = await other.open("c", "", 0)
    assert there.voice == "alice"
    assert said(there) == said(here)
    assert there.turns[1].timeline.pauses == [(0, 200), (2, 300)]
    assert [s.num_frames for s in there.turns[1].segments] == [2, 4]


async def test_a_second_writer_is_refused_with_the_age_of_the_first(
    one: RedisStore, other: RedisStore
) -> None:
    here = await one.open("c", "v", 0)
    await asyncio.sleep(0.2)
    with pytest.raises(errors.FailedPrecondition, match=r"in use .* begun 0\.[2-9] s ago"):
        await other.open("c", "v", 0)
    with pytest.raises(errors.FailedPrecondition, match=r"begun 0\.[2-9] s ago"):
        await one.open("c", "v", 0)
    with pytest.raises(errors.FailedPrecondition, match="in use"):
        await other.delete("c", 0)
    here.add(turn("t", segment("x", 1)))
    await closed(one, here)
    await closed(other, await other.open("c", "v", 0))
    assert len(other) == 0


async def test_who_is_about_to_give_a_conversation_back_is_waited_for(
    one: RedisStore, other: RedisStore
) -> None:
    here = await one.open("c", "v", 0)
    here.add(turn("t", segment("x", 1)))
    asyncio.get_running_loop().call_later(0.15, one.close, here)
    assert said(await other.open("c", "v", 1.0)) == said(here)


async def test_a_writer_that_died_is_replaced_after_its_lease_and_writes_no_more(
    server: RedisServer, other: RedisStore
) -> None:
    async with redis_store(server.url, lease_s=0.5) as paused:
        lost = await paused.open("c", "v", 0)
        lost.add(turn("1", segment("before", 2)))
        assert await lost.unsaved() == ""
        await paused._writers[lost].pause()
        with pytest.raises(errors.FailedPrecondition, match="in use"):
            await other.open("c", "v", 0)
        there = await other.open("c", "v", 1.0)
        there.add(turn("2", segment("after", 2)))
        assert await there.unsaved() == ""
        lost.add(turn("late", segment("from the grave", 2)))
        assert await lost.unsaved() == "another call has taken the conversation over"
    await closed(other, there)
    assert [t.turn_id for t in (await other.read("c")).turns] == ["1", "2"]


async def test_one_that_only_lost_time_goes_on(server: RedisServer) -> None:
    async with redis_store(server.url, lease_s=0.5) as store:
        here = await store.open("c", "v", 0)
        await store._writers[here].pause()
        await asyncio.sleep(0.6)
        here.add(turn("1", segment("x", 2)))
        assert await here.unsaved() == ""


async def test_the_lease_is_kept_while_nothing_is_said(server: RedisServer) -> None:
    async with redis_store(server.url, lease_s=0.5) as store, redis_store(server.url) as other:
        await store.open("c", "v", 0)
        with pytest.raises(errors.FailedPrecondition, match=r"begun 1\.\d s ago"):
            await other.open("c", "v", 1.2)


async def test_a_turn_that_is_being_spoken_is_there_to_a_second(
    one: RedisStore, other: RedisStore, server: RedisServer
) -> None:
    here = await one.open("c", "v", 0)
    delivered = [10]
    here.being_spoken(lambda: turn("t", segment("Word by word.", delivered[0])))
    await asyncio.sleep(0.2)
    assert [t.num_frames for t in (await other.read("c")).turns] == [10]
    for frames in (15, 25):
        delivered[0] = frames
        await asyncio.sleep(0.9)
        assert [t.num_frames for t in (await other.read("c")).turns] == [frames]
    [key] = [k for k in server.client().scan_iter() if k.endswith(b":turns")]
    assert server.client().llen(key) == 3
    here.add(turn("t", segment("Word by word.", 20)))
    here.being_spoken(None)
    assert await here.unsaved() == ""
    assert server.client().llen(key) == 1
    assert said(await other.read("c")) == said(here)


async def test_what_a_gateway_that_died_had_spoken_is_taken_up(server: RedisServer) -> None:
    async with redis_store(server.url, lease_s=0.5) as dead, redis_store(server.url) as other:
        here = await dead.open("c", "v", 0)
        here.add(turn("1", segment("first", 2)))
        delivered = [4]
        here.being_spoken(lambda: turn("2", segment("second", delivered[0])))
        for frames in (4, 9):
            delivered[0] = frames
            assert await here.unsaved() == ""
        await dead._writers[here].pause()
        there = await other.open("c", "v", 1.0)
        assert said(there) == [*said(here), *said_of(turn("2", segment("second", 9)))]
        there.add(turn("3", segment("third", 1)))
        assert await there.unsaved() == ""
        assert [t.num_frames for t in (await dead._commands.turns(KEY))[0]] == [2, 9, 1]


def said_of(one: Turn) -> list[tuple[str, str, bool, int, bytes]]:
    return said(StoredConversation("", "", ConversationLimits(9, 9999), [one]))


async def test_a_turn_is_cut_in_the_store_too(one: RedisStore, other: RedisStore) -> None:
    here = await one.open("c", "v", 0)
    for name in "123":
        here.add(turn(name, segment("so many words", 10)))
    assert await here.unsaved() == ""
    here.truncate("2", 240, 80.0)
    assert await here.unsaved() == ""
    assert said(await other.read("c")) == said(here)
    assert [t.num_frames for t in here.turns] == [10, 3, 10]
    here.truncate("2", 0, 80.0)
    assert await here.unsaved() == ""
    assert [t.turn_id for t in (await other.read("c")).turns] == ["1", "3"]


async def test_the_store_keeps_to_the_limits_of_a_conversation(
    server: RedisServer, other: RedisStore
) -> None:
    limits = ConversationLimits(max_turns=8, max_frames=1000)
    async with redis_store(server.url, limits=limits) as store:
        here = await store.open("c", "v", 0)
        for number in range(20):
            here.add(turn(str(number), segment("x", 10)))
            if number % 3:
                assert await here.unsaved() == ""
        await closed(store, here)
    assert said(await other.read("c")) == said(here)
    assert 6 <= len(here.turns) <= 8


async def test_a_long_conversation_is_written_in_several_parts_and_whole(
    one: RedisStore, other: RedisStore
) -> None:
    here = await one.open("c", "v", 0)
    for number in range(30):
        here.add(turn(str(number), segment("x" * 1000, 30_000)))
    here.writer.changed()  # type: ignore[union-attr]
    for _ in range(10):
        if await here.unsaved() == "":
            break
    assert said(await other.read("c")) == said(here)


async def test_a_conversation_without_turns_is_not_kept(
    one: RedisStore, server: RedisServer
) -> None:
    here = await one.open("", "v", 0)
    assert len(here.conversation_id) == 32
    await closed(one, here)
    assert server.client().dbsize() == 0
    with pytest.raises(errors.NotFound):
        await one.read(here.conversation_id)


async def test_what_is_deleted_stays_deleted(server: RedisServer, other: RedisStore) -> None:
    async with redis_store(server.url, lease_s=0.5) as paused:
        late = await paused.open("c", "v", 0)
        late.add(turn("1", segment("x", 2)))
        assert await late.unsaved() == ""
        await paused._writers[late].pause()
        await other.delete("c", 1.0)
        for refused in (other.read("c"), other.delete("c", 0)):
            with pytest.raises(errors.NotFound):
                await refused
        late.add(turn("2", segment("y", 2)))
        assert await late.unsaved() == "the conversation was deleted"
    anew = await other.open("c", "w", 0)
    assert (anew.turns, anew.voice) == ([], "w")


async def test_what_is_deleted_without_its_head_can_be_begun_anew_and_stays_deleted(
    server: RedisServer, other: RedisStore
) -> None:
    async with redis_store(server.url) as store:
        late = await store.open("c", "v", 0)
        late.add(turn("1", segment("x", 2)))
        assert await late.unsaved() == ""
        server.client().delete("csm:1:{/c}:head")  # as an eviction does
        await other.delete("c", 0)
        with pytest.raises(errors.NotFound):
            await other.delete("c", 0)
        late.add(turn("2", segment("y", 2)))
        assert await late.unsaved() == "the conversation was deleted"
    anew = await other.open("c", "w", 0)
    assert (anew.turns, anew.voice) == ([], "w")


async def test_who_had_what_is_deleted_does_not_take_its_grave_away(
    server: RedisServer, other: RedisStore
) -> None:
    async with redis_store(server.url, lease_s=0.2) as store:
        commands = store._commands
        late = await store.open("c", "v", 0)
        late.add(turn("1", segment("x", 2)))
        assert await late.unsaved() == ""
        writer = store._writers[late]
        await writer.pause()
        await other.delete("c", 1.0)
        await commands.close(KEY, writer._fence)
        with pytest.raises(LeaseLost, match="was deleted"):
            await commands.open(KEY, "nonce", "v", "cd", again=True)


async def test_unused_conversations_expire_and_use_renews_them(server: RedisServer) -> None:
    async with redis_store(server.url, ttl_s=0.6, lease_s=0.5) as store:
        for name in ("used", "old"):
            here = await store.open(name, "v", 0)
            here.add(turn("t", segment("x", 1)))
            await closed(store, here)
        left = server.client().pttl
        assert all(0 < left(key) <= 1000 for key in server.client().scan_iter())
        await asyncio.sleep(0.7)
        await closed(store, await store.open("used", "v", 0))
        await asyncio.sleep(0.5)
        assert await store.ids() == ["used"]


async def test_ids_whatever_signs_they_have(one: RedisStore, server: RedisServer) -> None:
    names = ["a", "{b}", "c*d?[e]", "ü/ß:turns", "}{"]
    for name in names:
        here = await one.open(name, "v", 0)
        here.add(turn("t", segment("x", 1)))
        await closed(one, here)
    assert sorted(await one.ids()) == sorted(names)
    assert await one.ids("somebody") == []
    tags = {key.split(b"{")[1].split(b"}")[0] for key in server.client().scan_iter()}
    # One more counts what their owner has.
    assert len(tags - {b"/"}) == len(names) == len(tags) - 1
    assert all(key.startswith(b"csm:1:") for key in server.client().scan_iter())


@pytest.mark.parametrize("kind", ["string", "hash of another format", "damaged record"])
async def test_what_is_foreign_is_refused_by_name_and_can_be_deleted(
    kind: str, one: RedisStore, server: RedisServer
) -> None:
    client, key = server.client(), "csm:1:{/c}:"
    if kind == "string":
        client.set(key + "head", "mine")
    elif kind == "hash of another format":
        client.hset(key + "head", "format", "0")
    else:
        here = await one.open("c", "v", 0)
        here.add(turn("t", segment("x", 1)))
        await closed(one, here)
        client.rpush(key + "turns", b"\x01\x00")
    for call in (one.open("c", "v", 0), one.read("c")):
        with pytest.raises(errors.FailedPrecondition, match=r"'c': what the store has .* format 1"):
            await call
    await one.delete("c", 0.3)
    assert (await one.open("c", "v", 0)).turns == []


async def test_frames_of_another_codec_are_refused(one: RedisStore, server: RedisServer) -> None:
    here = await one.open("c", "v", 0)
    here.add(turn("t", segment("x", 1)))
    await closed(one, here)
    async with redis_store(server.url, codec=lambda: "another") as store:
        with pytest.raises(errors.FailedPrecondition, match=r"'c' holds frames of another codec"):
            await store.open("c", "v", 0)


async def test_a_call_that_is_cancelled_while_it_opens_leaves_no_lease(
    one: RedisStore, other: RedisStore, server: RedisServer
) -> None:
    client = server.client()
    client.execute_command("CLIENT", "PAUSE", 150)
    opening = asyncio.create_task(one.open("c", "v", 0))
    await asyncio.sleep(0.05)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await asyncio.sleep(0.3)
    assert (await other.open("c", "v", 0)).turns == []
    assert len(one) == 0
