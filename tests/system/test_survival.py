"""A long conversation outlives everything that it runs on, one process after the other."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.failover import Told, running_turns
from benchmarks.fleet.processes import Fleet
from csm.client import AsyncClient, AudioChunk, FinishReason, TurnCompleted, TurnStarted
from tests.gateway.conversations.redis.server import (
    RedisServer,
    needs_redis,
    redis_server,
    redis_store,
    said,
)

NUM_TURNS = 30
SEED = 40
LEASE_S = 1.0
FRAME_MS = 80
TEXTS = ("The train leaves at nine.", "Please bring a coat.", "We are there soon. Say it again.")
CUT_AT_MS = 480
"""What is heard of a turn that is interrupted."""


@dataclass
class Heard:
    """What the client has of the conversation."""

    spoken: list[Told] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


async def talk(
    client: AsyncClient, name: str, lead_ms: int, events: dict[int, Callable[[], Any]]
) -> Heard:
    """The conversation; `events` happen in the middle of their turns."""
    heard = Heard()
    tone = 0.2 * np.sin(np.arange(9600) * 0.06).astype(np.float32)
    call = client.converse(conversation_id=name, seed=SEED, max_lead_ms=lead_ms, resume=True)
    async with call as conversation:
        for number in range(NUM_TURNS):
            if number % 3 == 0:
                await conversation.send_audio(tone)
                await conversation.end_turn(f"question {number}")
                heard.texts.append(f"question {number}")
                async for event in conversation:
                    if isinstance(event, TurnCompleted):
                        assert event.heard
                        break
            told = Told()
            heard.spoken.append(told)
            await conversation.say(TEXTS[number % len(TEXTS)])
            await conversation.end_turn()
            interrupts = number % 5 == 4
            happening: Any = None
            async for event in conversation:
                told.hear(event)
                if isinstance(event, TurnStarted):
                    assert told.started == 1
                if isinstance(event, AudioChunk) and told.audio_s >= 0.4 and number in events:
                    happening = asyncio.create_task(asyncio.to_thread(events.pop(number)))
                if interrupts and told.audio_s * 1000 >= CUT_AT_MS:
                    interrupts = False
                    await conversation.cancel(heard_ms=CUT_AT_MS)
                if told.completed is not None:
                    break
            if happening is not None:
                await happening
            assert told.completed
            cut = number % 5 == 4
            reason = FinishReason.CANCELLED if cut else FinishReason.EOS
            assert told.completed.finish_reason is reason, (number, told.completed)
    return heard


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


@pytest.fixture
def fleet(tmp_path: Path, server: RedisServer) -> Iterator[Fleet]:
    gateway = ["--store-url", server.url, "--store-lease-s", str(LEASE_S)]
    gateway += ["--decode-timeout-s", "2", "--drain-finish-s", "1"]
    one = Fleet(tmp_path, gateways=2, generators=2, flags={"gateway": gateway})
    try:
        one.start()
        yield one
    finally:
        one.close()


class Calamities:
    """What happens, and to whom."""

    def __init__(self, fleet: Fleet, server: RedisServer) -> None:
        self.fleet, self.server = fleet, server

    def generator(self) -> None:
        loads = [asyncio.run(running_turns(self.fleet, n)) for n in range(2)]
        self.fleet.send("generator", loads.index(max(loads)), signal.SIGKILL)
        self._mend("generator", loads.index(max(loads)))

    def tokenizer(self, number: int) -> Callable[[], None]:
        def kill() -> None:
            self.fleet.send("tokenizer", number, signal.SIGKILL)
            self._mend("tokenizer", number)

        return kill

    def gateway(self) -> None:
        # The client's calls go to the first that it reached, until that is gone.
        self.fleet.send("gateway", 0, signal.SIGKILL)
        self._mend("gateway", 0)

    def redis(self) -> None:
        self.server.end(signal.SIGTERM)
        time.sleep(0.3)
        self.server.up()

    def _mend(self, kind: str, number: int) -> None:
        self.fleet.running.pop((kind, number)).wait(10)
        self.fleet.begin(kind, number)
        self.fleet.ready(kind, number)


async def turns_of(server: RedisServer, name: str) -> list[tuple[str, bool, int, bytes]]:
    async with redis_store(server.url) as store:
        return [one[1:] for one in said(await store.read(name))]


@pytest.mark.slow
@needs_redis
async def test_thirty_turns_survive_the_loss_of_every_process(
    fleet: Fleet, server: RedisServer
) -> None:
    happens = Calamities(fleet, server)
    target = "ipv4:" + ",".join(fleet.address("gateway", n) for n in range(2))
    async with AsyncClient(target) as client:
        await talk(client, "calm", 0, {})
        events = {
            6: happens.generator,
            10: happens.tokenizer(0),
            13: happens.tokenizer(1),
            18: happens.gateway,
            25: happens.redis,
        }
        rough = await talk(client, "rough", 300, dict(events))
    # The same codes were drawn, and what the store has is what was sent and heard.
    expected, found = await turns_of(server, "calm"), await turns_of(server, "rough")
    assert [t[:3] for t in found] == [t[:3] for t in expected]
    assert [t[3] for t in found] == [t[3] for t in expected]
    assert sum(heard for _, heard, _, _ in found) == len(rough.texts)
    spoken = [(text, frames) for text, heard, frames, _ in found if not heard]
    for number, (told, (_, frames)) in enumerate(zip(rough.spoken, spoken, strict=True)):
        assert told.completed
        assert told.completed.kept_audio_ms == FRAME_MS * frames
        cut = number % 5 == 4
        assert frames == (CUT_AT_MS // FRAME_MS if cut else round(told.audio_s * 12.5))
    moved = sum(t.completed.usage.failovers for t in rough.spoken if t.completed)
    print("failovers:", moved)
    for number in events:
        silence_s = max(rough.spoken[number].silences_s(), default=0.0)
        print(f"turn {number}: {silence_s:.2f} s of silence")
        assert silence_s < 12
    assert moved >= 1
