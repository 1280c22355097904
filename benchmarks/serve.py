"""Many listeners at once through the whole system: first audio, real-time factor, gaps."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from csm.client import AsyncClient
from csm.serving.bootstrap import event_loop
from services.all_in_one import AllInOne

TEXTS = (
    "The evening train was late again.",
    "Could you tell me where the station is?",
    "She put the letter back into the drawer.",
    "Two cups of coffee and a glass of water, please.",
    "The river rises in the hills behind the town.",
    "I will call you back in a few minutes.",
    "Most of the old houses were built of stone.",
    "That is the best idea I have heard today.",
)


@dataclass
class Listener:
    """What somebody who plays from the first chunk on would have noticed."""

    began: float = field(default_factory=time.monotonic)
    first: float = 0.0
    last: float = 0.0
    audio_s: float = 0.0
    underrun_s: float = 0.0
    gaps_s: list[float] = field(default_factory=list)

    def heard(self, seconds: float) -> None:
        """A chunk of `seconds` of audio arrived now."""
        now = time.monotonic()
        if not self.first:
            self.first = now
        else:
            self.gaps_s.append(now - self.last)
            played_to = self.first + self.audio_s + self.underrun_s
            self.underrun_s += max(0.0, now - played_to)
        self.last = now
        self.audio_s += seconds

    @property
    def first_audio_ms(self) -> float:
        """Milliseconds from request to first chunk."""
        return (self.first - self.began) * 1000

    @property
    def real_time_factor(self) -> float:
        """Seconds of waiting a second of audio, from request to last chunk."""
        return (self.last - self.began) / self.audio_s


async def listen(client: AsyncClient, text: str, seed: int) -> Listener:
    """Speaks one text and listens."""
    listener = Listener()
    stream = client.synthesize(text, seed=seed)
    async for chunk in stream:
        listener.heard(len(chunk.samples) / chunk.sample_rate_hz)
    return listener


async def measure(
    address: str,
    streams: int,
    rounds: int,
    stagger_s: float,
    connection: Mapping[str, Any] | None = None,
) -> list[Listener]:
    """`rounds` times `streams` listeners at once, each starting `stagger_s` after the last."""

    async def late(client: AsyncClient, number: int, turn: int) -> Listener:
        await asyncio.sleep(number * stagger_s)
        return await listen(client, TEXTS[(number + turn) % len(TEXTS)], 100 * turn + number)

    async with AsyncClient(address, **(connection or {})) as client:
        await listen(client, TEXTS[0], 0)
        listeners: list[Listener] = []
        for turn in range(rounds):
            listeners += await asyncio.gather(*(late(client, n, turn) for n in range(streams)))
        return listeners


def report(listeners: list[Listener], streams: int, wall_s: float) -> dict[str, Any]:
    """The figures of a run."""
    audio_s = sum(one.audio_s for one in listeners)
    return {
        "benchmark": "serve",
        "machine": machine.describe(),
        "streams": streams,
        "utterances": len(listeners),
        "first_audio_ms": machine.summary([one.first_audio_ms for one in listeners], 1),
        "real_time_factor": machine.summary([one.real_time_factor for one in listeners]),
        "chunk_gap_ms": machine.summary([g * 1000 for one in listeners for g in one.gaps_s], 1),
        "underrun_ms": machine.summary([one.underrun_s * 1000 for one in listeners], 1),
        "utterances_with_underrun": sum(one.underrun_s > 0.02 for one in listeners),
        "audio_s": round(audio_s, 1),
        "audio_s_per_s": round(audio_s / wall_s, 2),
    }


def run(
    *,
    streams: int = 1,
    rounds: int = 5,
    stagger_ms: float = 0.0,
    server: str | None = None,
    model: Path | None = None,
    connection: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Listeners against `server`, or against the three services in this process.

    `connection`: what clients of the server are made with beside its address.
    """

    async def life() -> dict[str, Any]:
        began = time.monotonic()
        if server:
            listeners = await measure(server, streams, rounds, stagger_ms / 1000, connection)
        else:
            async with AllInOne(model=model, slots=max(1, streams)) as stack:
                began = time.monotonic()
                listeners = await measure(stack.address, streams, rounds, stagger_ms / 1000)
        return report(listeners, streams, time.monotonic() - began)

    # On the loop that a service has.
    with asyncio.Runner(loop_factory=event_loop()) as runner:
        return runner.run(life())
