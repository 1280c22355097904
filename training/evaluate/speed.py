"""How fast the whole system speaks: the three services in one process, one listener."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csm.client import AsyncClient
from services.all_in_one import AllInOne
from training.evaluate.held_out import Item


@dataclass(frozen=True)
class Listened:
    """One request: seconds of audio, to the first of it, and to the last."""

    audio_s: float
    first_audio_s: float
    total_s: float


def measure(
    directory: Path, items: Sequence[Item], done: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Speak the items one after another over gRPC, after one to warm up; return the figures.

    Raises:
        ValueError: there are no items, or none of them gave audio.
    """
    if not items:
        raise ValueError("items: 0 are not allowed, must be at least 1")
    heard = asyncio.run(_listen(directory, items, done or (lambda: None)))
    if not heard:
        raise ValueError(f"{directory}: {len(items)} sentences gave no audio; allowed: at least 1")
    factors = [one.total_s / one.audio_s for one in heard]
    return {
        "utterances": len(heard),
        "audio_s": round(sum(one.audio_s for one in heard), 2),
        "real_time_factor": round(statistics.median(factors), 4),
        "real_time_factor_worst": round(max(factors), 4),
        "first_audio_ms": round(1000 * statistics.median(one.first_audio_s for one in heard), 1),
    }


async def _listen(
    directory: Path, items: Sequence[Item], done: Callable[[], None]
) -> list[Listened]:
    async with AllInOne(model=directory, slots=1) as stack, AsyncClient(stack.address) as client:
        await _one(client, items[0])
        heard = []
        for item in items:
            one = await _one(client, item)
            heard += [one] if one else []
            done()
        return heard


async def _one(client: AsyncClient, item: Item) -> Listened | None:
    began = time.perf_counter()
    audio_s = first_s = 0.0
    async for chunk in client.synthesize(item.sentence, speaker=item.speaker, seed=item.index):
        first_s = first_s or time.perf_counter() - began
        audio_s += chunk.duration_s
    return Listened(audio_s, first_s, time.perf_counter() - began) if audio_s else None
