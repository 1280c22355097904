"""The SDK's `converse(resume=True)` over gateways that go away and share a store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from csm import errors
from csm.client import AsyncClient, AudioChunk, Client, FinishReason, TurnCompleted, TurnStarted
from csm.serving.metrics import Metrics
from tests.gateway.calls import turns_of
from tests.gateway.conversations.redis.server import RedisServer, needs_redis, redis_server
from tests.gateway.fakes import FRAME_SAMPLES, Stack, stack

pytestmark = needs_redis

TEXT = "The first one. The second one, which is longer. The third one."
NUM_FRAMES = 13


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


@contextlib.asynccontextmanager
async def two_gateways(server: RedisServer) -> AsyncIterator[tuple[Stack, Stack]]:
    """Over one pair of backends."""
    shared = {"store_url": server.url, "store_lease_s": 0.5, "store_timeout_s": 0.3}
    async with stack(**shared) as one:
        one.generator.frame_s = 0.03
        one.generator.counts_on = True
        two = Stack()
        two.generator, two.tokenizer = one.generator, one.tokenizer
        await two.serve(one.settings)
        try:
            yield one, two
        finally:
            await two.close()


def target(*stacks: Stack) -> str:
    return "ipv4:" + ",".join(s.host.address for s in stacks)


async def dies(gateway: Stack) -> None:
    """Its calls break off, and its port is closed."""
    await gateway.host._ports.stop(0)


def heard(events: list[Any], turn_id: str) -> list[int]:
    """The frames of a turn, each once and in order of its samples."""
    at, pcm = 0, b""
    for event in events:
        if isinstance(event, AudioChunk) and event.turn_id == turn_id:
            assert event.first_sample == at
            at += event.num_samples
            pcm += event.pcm
    samples = np.frombuffer(pcm, "<i2").reshape(-1, FRAME_SAMPLES)
    return [int(row[0]) for row in samples]


def counts(events: list[Any], turn_id: str) -> tuple[int, int]:
    mine = [e for e in events if e.turn_id == turn_id]
    started = sum(isinstance(e, TurnStarted) for e in mine)
    return started, sum(isinstance(e, TurnCompleted) for e in mine)


@pytest.mark.parametrize("seed", [5, None])
async def test_a_turn_goes_on_at_another_gateway(server: RedisServer, seed: int | None) -> None:
    async with two_gateways(server) as (one, two), AsyncClient(target(one, two)) as client:
        talk = client.converse(resume=True, conversation_id="on", seed=seed)
        async with talk as conversation:
            await conversation.say(TEXT)
            await conversation.end_turn()
            events: list[Any] = []
            async for event in conversation:
                events.append(event)
                if sum(isinstance(e, AudioChunk) for e in events) == 5 and event is events[-1]:
                    await dies(one if one.service._speech._live else two)
                if isinstance(event, TurnCompleted):
                    break
            completed = events[-1]
            assert completed.finish_reason is FinishReason.EOS
            assert completed.kept_audio_ms == 80 * NUM_FRAMES
            assert counts(events, completed.turn_id) == (1, 1)
            assert heard(events, completed.turn_id) == list(range(NUM_FRAMES))
            # The next turn is one of the same conversation, with the seed it would have had.
            await conversation.say("And more.")
            await conversation.end_turn()
            following = [e async for e in upto_completed(conversation)]
            if seed is not None:
                assert following[0].seed == 6
            info = await client.get_conversation("on")
        assert [t.text for t in info.turns] == [TEXT, "And more."]


async def upto_completed(conversation: Any) -> AsyncIterator[Any]:
    async for event in conversation:
        yield event
        if isinstance(event, TurnCompleted):
            return


async def test_text_that_is_sent_while_no_gateway_is_there_is_spoken_later(
    server: RedisServer,
) -> None:
    async with two_gateways(server) as (one, two):
        async with AsyncClient(one.host.address) as client:
            talk = client.converse(resume=True, conversation_id="gap", seed=1)
            async with talk as conversation:
                await conversation.say("The first one. ")
                reading = asyncio.create_task(gathered(conversation))
                await asyncio.sleep(0.1)
                port = one.host.port
                await one.close()
                await conversation.say("The second one, which is longer. ")
                await conversation.say("The third one.")
                await conversation.end_turn()
                await asyncio.sleep(0.3)
                settings = one.settings.model_copy(update={"port": port})
                one.metrics = Metrics()
                await one.serve(settings)
                events = await asyncio.wait_for(reading, 15)
        completed = events[-1]
        assert completed.finish_reason is FinishReason.EOS
        assert counts(events, completed.turn_id) == (1, 1)
        assert len(heard(events, completed.turn_id)) == NUM_FRAMES
        assert [t[2] for t in await turns_of(two, "gap")] == [TEXT]


async def gathered(conversation: Any) -> list[Any]:
    return [event async for event in upto_completed(conversation)]


async def test_a_blocking_conversation_goes_on_too(server: RedisServer) -> None:
    async with two_gateways(server) as (one, two):
        loop = asyncio.get_running_loop()

        def talk() -> list[Any]:
            events: list[Any] = []
            with (
                Client(target(one, two)) as client,
                client.converse(resume=True, conversation_id="sync", seed=5) as conversation,
            ):
                conversation.say(TEXT)
                conversation.end_turn()
                for event in conversation:
                    events.append(event)
                    if len(events) == 6:
                        dying = dies(one if one.service._speech._live else two)
                        asyncio.run_coroutine_threadsafe(dying, loop).result(10)
                    if isinstance(event, TurnCompleted):
                        break
            return events

        events = await asyncio.to_thread(talk)
        completed = events[-1]
        assert completed.finish_reason is FinishReason.EOS
        assert counts(events, completed.turn_id) == (1, 1)
        assert heard(events, completed.turn_id) == list(range(NUM_FRAMES))


async def test_a_barge_in_whose_terminal_was_lost_gets_one(server: RedisServer) -> None:
    async with two_gateways(server) as (one, two), AsyncClient(target(one, two)) as client:
        one.generator.deaf_to_cancel = True
        talk = client.converse(resume=True, conversation_id="cut", seed=5)
        async with talk as conversation:
            await conversation.say(TEXT)
            await conversation.end_turn()
            events: list[Any] = []
            async for event in conversation:
                events.append(event)
                if sum(isinstance(e, AudioChunk) for e in events) == 6:
                    break
            # The gateway dies before it can say that the turn is over.
            one.generator.mute.clear()
            await conversation.cancel(heard_ms=240)
            await dies(one if one.service._speech._live else two)
            one.generator.mute.set()
            events += await gathered(conversation)
            completed = events[-1]
            assert completed.finish_reason is FinishReason.CANCELLED
            assert completed.kept_audio_ms == 240
            assert counts(events, completed.turn_id) == (1, 1)
            await conversation.say("And more.")
            await conversation.end_turn()
            assert (await gathered(conversation))[-1].finish_reason is FinishReason.EOS
            info = await client.get_conversation("cut")
        assert [t.text for t in info.turns] == ["The first one.", "And more."]


async def test_a_turn_may_be_said_anew(server: RedisServer) -> None:
    async with two_gateways(server) as (one, two), AsyncClient(target(one, two)) as client:
        talk = client.converse(resume="anew", conversation_id="anew", seed=5)
        async with talk as conversation:
            await conversation.say(TEXT)
            await conversation.end_turn()
            events: list[Any] = []
            async for event in conversation:
                events.append(event)
                if len(events) == 6:
                    await dies(one if one.service._speech._live else two)
                if sum(isinstance(e, TurnCompleted) for e in events) == 2:
                    break
            info = await client.get_conversation("anew")
        first, second = (e for e in events if isinstance(e, TurnCompleted))
        assert (first.finish_reason, first.kept_audio_ms) == (FinishReason.CANCELLED, 0)
        assert counts(events, first.turn_id) == counts(events, second.turn_id) == (1, 1)
        assert heard(events, second.turn_id) == list(range(NUM_FRAMES))
        assert [(t.turn_id, t.text) for t in info.turns] == [(second.turn_id, TEXT)]


async def test_a_gateway_that_is_drained_in_mid_turn_is_left(server: RedisServer) -> None:
    async with two_gateways(server) as (one, two), AsyncClient(target(one, two)) as client:
        talk = client.converse(resume=True, conversation_id="drained", seed=5)
        async with talk as conversation:
            await conversation.say(TEXT)
            await conversation.end_turn()
            events: list[Any] = []
            draining: Any = None
            async for event in conversation:
                events.append(event)
                if len(events) == 6:
                    first = one if one.service._speech._live else two
                    draining = asyncio.create_task(first.host.stop(finish_s=0.05))
                if isinstance(event, TurnCompleted):
                    break
            await draining
        completed = events[-1]
        assert completed.finish_reason is FinishReason.EOS
        assert counts(events, completed.turn_id) == (1, 1)
        assert heard(events, completed.turn_id) == list(range(NUM_FRAMES))


async def test_where_no_gateway_comes_back_the_call_fails_in_the_end(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_gateways(server) as (one, _), AsyncClient(one.host.address) as client:
        talk: Any = client.converse(resume=True, conversation_id="alone")
        talk._resume_s = 0.5
        async with talk as conversation:
            await conversation.say(TEXT)
            await conversation.end_turn()
            while not isinstance(await anext(conversation), AudioChunk):
                pass
            await dies(one)
            with pytest.raises(errors.Unavailable):
                await gathered(conversation)


def test_opus_cannot_be_joined() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(errors.InvalidArgument):
        client.converse(resume=True, output_format="ogg_opus")
