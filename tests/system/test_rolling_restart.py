"""Every process of a running system is restarted, one after the other, and no caller notices."""

import asyncio
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from benchmarks.failover import TEXT, Told
from benchmarks.fleet.processes import Fleet
from csm.client import AsyncClient, AudioChunk, FinishReason
from tests.gateway.conversations.redis.server import (
    RedisServer,
    needs_redis,
    redis_server,
    redis_store,
    said,
)

CALLERS, LEAD_MS, MAX_CONVERSATIONS = 4, 1000, 30
TURNS = 4
"""Of a conversation: no more than the model's context holds, so that nothing is left out of it."""
COUNTS = {"tokenizer": 2, "generator": 3, "gateway": 2}
"""Restarted in this order: what is called comes before who calls it (docs/upgrades.md)."""
DRAIN_S = {"tokenizer": "3", "generator": "1", "gateway": "2"}


@dataclass
class Heard:
    """What one caller heard: conversation after conversation, each of a number of turns."""

    conversations: list[list[Told]] = field(default_factory=list)
    holes: int = 0
    """Chunks that did not begin where the one before ended."""

    @property
    def turns(self) -> list[Told]:
        return [told for one in self.conversations for told in one]

    @property
    def num_turns(self) -> list[int]:
        return [len(one) for one in self.conversations]


class Restarts:
    """Whether they are over."""

    over = False


async def call(
    client: AsyncClient, name: str, seed: int, lead_ms: int, plan: Restarts | list[int]
) -> Heard:
    """Talks until the restarts are over, or as many turns as are named."""
    heard = Heard()

    def goes_on(conversation: int, turn: int) -> bool:
        if isinstance(plan, list):
            return conversation < len(plan) and turn < plan[conversation]
        return not plan.over and turn < TURNS and conversation < MAX_CONVERSATIONS

    while goes_on(number := len(heard.conversations), 0):
        turns: list[Told] = []
        heard.conversations.append(turns)
        async with client.converse(
            conversation_id=f"{name}-{number}",
            seed=seed + number,
            max_lead_ms=lead_ms,
            resume=True,
        ) as conversation:
            while goes_on(number, len(turns)):
                told = Told()
                turns.append(told)
                await conversation.say(TEXT)
                await conversation.end_turn()
                async for event in conversation:
                    if isinstance(event, AudioChunk):
                        heard.holes += event.first_sample != len(told.pcm) // 2
                    told.hear(event)
                    if told.completed is not None:
                        break
    return heard


def restart_all(fleet: Fleet) -> dict[tuple[str, int], float]:
    """SIGTERM to each, and up again; the seconds that each took to drain."""
    drained = {}
    for kind, count in COUNTS.items():
        for number in range(count):
            began = time.monotonic()
            fleet.send(kind, number, signal.SIGTERM)
            assert fleet.running.pop((kind, number)).wait(60) == 0
            drained[kind, number] = time.monotonic() - began
            fleet.begin(kind, number)
            fleet.ready(kind, number)
    return drained


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


@pytest.fixture
def fleet(tmp_path: Path, server: RedisServer) -> Iterator[Fleet]:
    flags = {kind: ["--drain-finish-s", seconds] for kind, seconds in DRAIN_S.items()}
    flags["gateway"] += ["--store-url", server.url]
    flags["generator"] += ["--slots", str(CALLERS)]
    one = Fleet(
        tmp_path,
        tokenizers=COUNTS["tokenizer"],
        generators=COUNTS["generator"],
        gateways=COUNTS["gateway"],
        flags=flags,
    )
    try:
        one.start()
        yield one
    finally:
        one.close()


async def codes_of(server: RedisServer, name: str) -> list[tuple[str, bool, int, bytes]]:
    async with redis_store(server.url) as store:
        return [one[1:] for one in said(await store.read(name))]


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, np.int16).astype(np.float64)


async def all_callers(
    target: str, name: str, lead_ms: int, plans: list[list[int]] | None, fleet: Fleet
) -> tuple[list[Heard], dict[tuple[str, int], float]]:
    """All of them at once; restarts happen where no numbers of turns are given."""
    restarts = Restarts()
    drained: dict[tuple[str, int], float] = {}
    async with AsyncClient(target) as client, asyncio.TaskGroup() as tasks:
        callers = [
            tasks.create_task(
                call(client, f"{name}-{n}", 100 * n, lead_ms, plans[n] if plans else restarts)
            )
            for n in range(CALLERS)
        ]
        if plans is None:
            await asyncio.sleep(1)
            try:
                drained = await asyncio.to_thread(restart_all, fleet)
            finally:
                restarts.over = True
    return [one.result() for one in callers], drained


@pytest.mark.slow
@needs_redis
async def test_no_turn_and_no_audio_is_lost_while_all_is_restarted(
    fleet: Fleet, server: RedisServer
) -> None:
    target = "ipv4:" + ",".join(fleet.address("gateway", n) for n in range(COUNTS["gateway"]))
    rough, drained = await all_callers(target, "rough", LEAD_MS, None, fleet)
    calm, _ = await all_callers(target, "calm", 0, [one.num_turns for one in rough], fleet)

    assert len(drained) == sum(COUNTS.values())
    assert all(len(one.conversations) < MAX_CONVERSATIONS for one in rough)
    turns = [told for one in rough for told in one.turns]
    for told in turns:
        assert told.completed
        assert told.completed.finish_reason is FinishReason.EOS
        assert told.started == 1
    assert not sum(one.holes for one in rough)

    # What was said and heard is what would have been without any of it.
    for caller, one in enumerate(rough):
        for number in range(len(one.conversations)):
            name = f"{caller}-{number}"
            same = await codes_of(server, f"rough-{name}") == await codes_of(server, f"calm-{name}")
            assert same, name
    worst = 0.0
    expected = [told for one in calm for told in one.turns]
    for told, other in zip(turns, expected, strict=True):
        assert len(told.pcm) == len(other.pcm)
        apart, whole = samples(told.pcm) - samples(other.pcm), samples(other.pcm)
        worst = max(worst, float(np.sqrt((apart**2).mean() / (whole**2).mean())))
    assert worst < 0.05

    moved = sum(told.completed.usage.failovers for told in turns if told.completed)
    silences = sorted((max(t.silences_s(), default=0.0) for t in turns), reverse=True)
    quiet = max(max(t.silences_s(), default=0.0) for t in expected)
    print(f"{len(turns)} turns, {sum(t.audio_s for t in turns):.0f} s of audio, {moved} moved")
    print("seconds to drain:", {f"{k} {n}": round(s, 1) for (k, n), s in drained.items()})
    print("longest silences, s:", [round(s, 2) for s in silences[:8]])
    print(f"turns with a silence above 20 ms: {sum(s > 0.02 for s in silences)}")
    print(f"longest silence of the undisturbed turns: {quiet:.2f} s")
    print(f"largest difference of samples: {100 * worst:.2f} % of the signal")
    assert silences[0] < 12
