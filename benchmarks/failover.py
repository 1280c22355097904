"""What listeners hear while a service dies, hangs or is drained: `python -m benchmarks.failover`.

Conversations speak through a gateway, paced to some seconds ahead of the listener. Then one of
several generators or tokenizers gets a signal. Told are, of the turns under way: how many ended
well, how many moved, and how long a listener who plays from the first chunk on waited for sound.
"""

import argparse
import asyncio
import itertools
import json
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fleet.processes import Fleet
from csm.channel import open_async
from csm.client import AsyncClient, AudioChunk, FinishReason, TurnCompleted, TurnStarted
from csm.v1 import generator_pb2, generator_pb2_grpc

TEXT = (
    "The weather is fine today, and the train leaves at nine. Please bring a coat and something "
    "to read. We will be there before noon. Once more, please, say it slowly, so that everybody "
    "can hear it."
)
RATE_HZ = 24_000
CASES = {
    "generator killed": ("generator", signal.SIGKILL),
    "generator stands still": ("generator", signal.SIGSTOP),
    "generator drained": ("generator", signal.SIGTERM),
    "tokenizer killed": ("tokenizer", signal.SIGKILL),
    "tokenizer stands still": ("tokenizer", signal.SIGSTOP),
}
VICTIMS = {"tokenizer killed": 0, "tokenizer stands still": 1}
"""Of generators, the one with the most turns under way."""


@dataclass
class Told:
    """One spoken turn as its listener had it."""

    turn_id: str = ""
    started: int = 0
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    completed: TurnCompleted | None = None
    pcm: bytearray = field(default_factory=bytearray)
    times_s: list[tuple[float, float]] = field(default_factory=list)
    """(when a chunk came, seconds of audio with it)."""

    def hear(self, event: Any) -> None:
        """An event of the turn."""
        self.heard.set()
        if isinstance(event, TurnStarted):
            self.started += 1
            self.turn_id = event.turn_id
        elif isinstance(event, AudioChunk):
            self.pcm += event.pcm
            self.times_s.append((time.monotonic(), len(self.pcm) / 2 / RATE_HZ))
        elif isinstance(event, TurnCompleted):
            self.completed = event

    async def until(self, audio_s: float) -> None:
        """Returns when there is so much audio."""
        while self.audio_s < audio_s:
            self.heard.clear()
            await self.heard.wait()

    @property
    def audio_s(self) -> float:
        """Seconds of audio."""
        return len(self.pcm) / 2 / RATE_HZ

    def silences_s(self) -> list[float]:
        """How long a listener who plays from the first chunk on waited, before each chunk."""
        found, plays_until = [], self.times_s[0][0]
        before = 0.0
        for came, audio_s in self.times_s:
            found.append(max(0.0, came - plays_until))
            plays_until = max(plays_until, came) + audio_s - before
            before = audio_s
        return found[1:]

    @property
    def gap_s(self) -> float:
        """The longest time between two chunks."""
        times = [came for came, _ in self.times_s]
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)


async def say(client: AsyncClient, told: Told, name: str, seed: int, lead_ms: int) -> Told:
    """One turn of a conversation."""
    call = client.converse(conversation_id=name, seed=seed, max_lead_ms=lead_ms)
    async with call as conversation:
        await conversation.say(TEXT)
        await conversation.end_turn()
        async for event in conversation:
            told.hear(event)
            if told.completed is not None:
                return told
    return told


async def running_turns(fleet: Fleet, number: int) -> int:
    """Turns in the slots of a generator."""
    async with open_async(fleet.address("generator", number)) as channel:
        stub = generator_pb2_grpc.GeneratorServiceStub(channel)
        load = await stub.GetLoad(generator_pb2.GetLoadRequest(), timeout=5)
        return int(load.running)


async def undisturbed(fleet: Fleet, conversations: int, lead_ms: int) -> list[Told]:
    """What the conversations say while nothing happens."""
    async with AsyncClient(fleet.address("gateway", 0)) as client:
        turns = (say(client, Told(), f"calm-{n}", 100 + n, lead_ms) for n in range(conversations))
        return await asyncio.gather(*turns)


async def disturbed(
    fleet: Fleet, case: str, conversations: int, lead_ms: int, after_s: float = 1.0
) -> tuple[list[Told], int]:
    """What they say while it does, and the process that it happened to. It is not replaced."""
    kind, signal_number = CASES[case]
    tolds = [Told() for _ in range(conversations)]
    async with AsyncClient(fleet.address("gateway", 0)) as client:
        turns = [
            asyncio.create_task(say(client, told, f"{case}-{n}", 100 + n, lead_ms))
            for n, told in enumerate(tolds)
        ]
        for told in tolds:
            await told.until(after_s)
        victim = VICTIMS.get(case, 0)
        if kind == "generator":
            count = sum(k == kind for k, _ in fleet.names)
            loads = [await running_turns(fleet, n) for n in range(count)]
            victim = loads.index(max(loads))
        fleet.send(kind, victim, signal_number)
        await asyncio.gather(*turns)
    return tolds, victim


def figures(case: str, tolds: list[Told], calm: list[Told]) -> dict[str, Any]:
    """A row of the table."""
    moved = [t for t in tolds if t.completed and t.completed.usage.failovers]
    silences = [max(t.silences_s(), default=0.0) for t in moved]
    same = sum(a.pcm == b.pcm for a, b in zip(tolds, calm, strict=True))
    ended = [t for t in tolds if t.completed and t.completed.finish_reason is FinishReason.EOS]
    return {
        "case": case,
        "turns": len(tolds),
        "ended_well": sum(t.started == 1 for t in ended),
        "moved": len(moved),
        "same_samples": same,
        "longest_gap_s": round(max((t.gap_s for t in moved), default=0.0), 2),
        "longest_silence_s": round(max(silences, default=0.0), 2),
        "calm_gap_s": round(max(t.gap_s for t in calm), 2),
        "calm_silence_s": round(max(max(t.silences_s(), default=0.0) for t in calm), 2),
    }


def run(conversations: int = 8, lead_ms: int = 2000, folder: Path | None = None) -> dict[str, Any]:
    """All cases, one after the other, over three generators and two tokenizers."""
    with tempfile.TemporaryDirectory() as made:
        flags = {"generator": ["--slots", "8", "--drain-finish-s", "1"]}
        fleet = Fleet(folder or Path(made), flags=flags)
        try:
            fleet.start()
            calm = asyncio.run(undisturbed(fleet, conversations, lead_ms))
            rows = []
            for case, (kind, _) in CASES.items():
                tolds, victim = asyncio.run(disturbed(fleet, case, conversations, lead_ms))
                rows.append(figures(case, tolds, calm))
                print(json.dumps(rows[-1]), flush=True)
                fleet.replace(kind, victim)
        finally:
            fleet.close()
    return {"conversations": conversations, "lead_ms": lead_ms, "cases": rows}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=8)
    parser.add_argument("--lead-ms", type=int, default=2000)
    given = parser.parse_args()
    print(json.dumps(run(given.conversations, given.lead_ms), indent=2))
