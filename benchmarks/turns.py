"""Turns through the engine alone: conversations that come, stall, leave and come back.

`company`: staggered conversations, one of them a slow reader and one that cancels and begins anew;
how many frames a second, how long between two of one stream, and whether each says what it says
alone. `second_turn`: the first frame of a turn behind a long history, beside a first turn's.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from benchmarks import machine
from services.generator.engine.engine import Engine
from services.generator.engine.events import Event, Finished, FinishReason, FrameReady
from services.generator.engine.protocol import Model
from services.generator.engine.turn import PromptRows, TurnRequest
from services.generator.model.sampling import SamplingParams
from tests.generator import harness
from tests.generator.harness import random_rows

SAMPLED = SamplingParams(temperature=0.9, depth_temperature=0.7, top_k=50)
PREFILL_CHUNK = 64
STAGGER_S = 0.037
"""Between two arrivals: no multiple of a step."""
_keys = itertools.count()


@dataclass
class Heard:
    """A turn's sink: frames and when they came."""

    began_s: float = field(default_factory=time.monotonic)
    codes: list[np.ndarray] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    over: asyncio.Future[Finished] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def __post_init__(self) -> None:
        self._awaited: tuple[int, asyncio.Future[None]] | None = None

    def at(self, frames: int) -> asyncio.Future[None]:
        """Done with so many frames, which must be yet to come; fails if the turn ends before."""
        self._awaited = frames, asyncio.get_running_loop().create_future()
        return self._awaited[1]

    def __call__(self, event: Event) -> None:
        if isinstance(event, FrameReady):
            self.codes.append(event.codes)
            self.times_s.append(time.monotonic())
            if self._awaited and len(self.codes) == self._awaited[0]:
                self._awaited[1].set_result(None)
        elif isinstance(event, Finished):
            self.over.set_result(event)
            if self._awaited and not self._awaited[1].done():
                self._awaited[1].set_exception(RuntimeError(f"the turn ended by {event.reason}"))

    @property
    def first_frame_ms(self) -> float:
        """From submitting to the first frame."""
        return 1000 * (self.times_s[0] - self.began_s)

    @property
    def gaps_ms(self) -> list[float]:
        """Between frames."""
        return [1000 * (b - a) for a, b in itertools.pairwise(self.times_s)]


class Turns:
    """A running engine, and prompts that its model understands."""

    def __init__(self, model: Model, engine: Engine) -> None:
        self._engine, config = engine, model.config
        self._columns, self._vocab = config.num_codebooks + 1, config.text_vocab_size

    def prompt(self, count: int, seed: int) -> PromptRows:
        """Random text of so many positions."""
        return random_rows(count, seed, columns=self._columns, vocab=self._vocab)

    def begin(
        self, prompt: PromptRows, seed: int, frames: int, *, owner: str = "",
        credit: int | None = None,
    ) -> tuple[str, Heard]:  # fmt: skip
        """Submit a turn of exactly `frames` frames, unless it is cancelled."""
        key, heard = str(next(_keys)), Heard()
        request = TurnRequest(
            key, owner or key, prompt, SAMPLED, seed, frames, credit, min_frames=frames
        )
        self._engine.submit(request, heard)
        return key, heard

    async def speak(self, prompt: PromptRows, seed: int, frames: int, owner: str = "") -> Heard:
        """The same, waited for; a turn without an owner leaves its slot."""
        key, heard = self.begin(prompt, seed, frames, owner=owner)
        await _whole(heard)
        if not owner:
            self._engine.release(key)
        return heard

    async def read_slowly(
        self, prompt: PromptRows, seed: int, frames: int, every_s: float
    ) -> Heard:
        """A client that asks for a frame every so many seconds."""
        key, heard = self.begin(prompt, seed, frames, credit=1)
        while not heard.over.done():
            await asyncio.sleep(every_s)
            self._engine.credit(key, 1)
        await _whole(heard)
        self._engine.release(key)
        return heard

    async def leave(self, prompt: PromptRows, seed: int, after: int) -> Heard:
        """A client that cancels once it has so many frames."""
        key, heard = self.begin(prompt, seed, 10 * after)
        await heard.at(after)
        self._engine.cancel(key)
        await heard.over
        self._engine.release(key)
        return heard


async def _whole(heard: Heard) -> None:
    finished = await heard.over
    if finished.reason is not FinishReason.MAX_DURATION:
        raise RuntimeError(f"a turn ended by {finished.reason}: {finished.error}")


@asynccontextmanager
async def running(model: Model, slots: int, max_positions: int) -> AsyncIterator[Turns]:
    """An engine for the block."""
    async with harness.running(
        model,
        slots=slots,
        max_positions=max_positions,
        chunk=PREFILL_CHUNK,
        max_queue=4 * slots,
        # As in the service: native frames have threads of their own.
        prepare=lambda: torch.set_num_threads(1),
    ) as turns:
        yield Turns(model, turns.engine)


async def _company(
    model: Model, conversations: int, frames: int, slow_reader_s: float
) -> dict[str, Any]:
    async with running(model, conversations, 40 + frames) as turns:
        prompts = [turns.prompt(20 + 3 * n, n) for n in range(conversations)]
        alone = [await turns.speak(prompt, n, frames) for n, prompt in enumerate(prompts)]

        async def late(number: int) -> Heard:
            await asyncio.sleep(number * STAGGER_S)
            if number == 1:
                return await turns.read_slowly(prompts[1], 1, frames, slow_reader_s)
            if number == 2:
                left = await turns.leave(prompts[2], 2, frames // 4)
                again = await turns.speak(prompts[2], 2, frames)
                again.times_s = left.times_s + again.times_s
                return again
            return await turns.speak(prompts[number], number, frames)

        began = time.monotonic()
        together = await asyncio.gather(*(late(n) for n in range(conversations)))
        seconds = max(heard.times_s[-1] for n, heard in enumerate(together) if n != 1) - began
    made = sum(len(heard.times_s) for n, heard in enumerate(together) if n != 1)
    pairs = [(a, b) for x, y in zip(alone, together, strict=True)
             for a, b in zip(x.codes, y.codes, strict=True)]  # fmt: skip
    gaps = [gap for n, heard in enumerate(together) if n > 2 for gap in heard.gaps_ms]
    return {
        "conversations": conversations,
        "frames_per_s": round(made / seconds, 1),
        "real_time_conversations": round(made / seconds / 12.5, 1),
        "gap_ms": machine.summary(gaps, 2),
        "slow_reader_gap_ms": machine.summary(together[1].gaps_ms, 1),
        "frames_compared": len(pairs),
        "frames_equal": sum(bool(np.array_equal(a, b)) for a, b in pairs),
    }


def company(
    model: Model, conversations: int, *, frames: int = 120, slow_reader_s: float = 0.04
) -> dict[str, Any]:
    """Conversations in one batch, at least 3.

    Frames a second leave the slow reader out, whose pace is its own; gaps are those of the streams
    that are read at once and stay.
    """
    if conversations < 3:
        raise ValueError(f"conversations: {conversations} is not allowed, must be >= 3")
    return asyncio.run(_company(model, conversations, frames, slow_reader_s))


async def _second_turn(model: Model, history: int, new: int, rounds: int) -> dict[str, Any]:
    frames = 4
    first_ms, second_ms, reused = [], [], []
    async with running(model, 2, model.config.backbone.max_positions) as turns:
        said = turns.prompt(history, 0)
        await turns.speak(said, 0, 1, owner="long")
        for turn in range(1, rounds + 1):
            fresh = await turns.speak(turns.prompt(new, 100 + turn), turn, frames)
            first_ms.append(fresh.first_frame_ms)
            # What was said stays the same, what is new is another each time.
            prompt = np.concatenate([said, turns.prompt(new, turn)])
            again = await turns.speak(prompt, turn, frames, owner="long")
            second_ms.append(again.first_frame_ms)
            reused.append(again.over.result().reused_frames)
    first, second = machine.summary(first_ms, 1), machine.summary(second_ms, 1)
    return {
        "history_positions": history,
        "new_positions": new,
        "reused_positions": reused,
        "first_turn_ms": first,
        "second_turn_ms": second,
        "ratio": round(second["p50"] / first["p50"], 2),
    }


def second_turn(
    model: Model, *, history: int = 1800, new: int = 60, rounds: int = 15
) -> dict[str, Any]:
    """Time to the first frame of a turn of `new` positions, behind `history` and behind nothing."""
    return asyncio.run(_second_turn(model, history, new, rounds))
