"""Runs an engine for a test, and listens to its turns."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from services.generator.engine.admission import Reservation
from services.generator.engine.engine import Engine
from services.generator.engine.events import Event, Finished, FinishReason, FrameReady, Started
from services.generator.engine.runner import Runner
from services.generator.engine.turn import MASKED, PromptRows, TurnRequest
from services.generator.model.sampling import GREEDY, SamplingParams

SAMPLED = SamplingParams(temperature=0.9, depth_temperature=0.7, top_k=20)
TIMEOUT_S = 20.0
_keys = itertools.count()


def text_rows(*ids: int, columns: int = 5) -> PromptRows:
    """Prompt rows of text ids."""
    rows = np.full((len(ids), columns), MASKED, np.int64)
    rows[:, -1] = ids
    return rows


def audio_rows(codes: np.ndarray, *, end: bool = True) -> PromptRows:
    """Prompt rows of frames [F, K], and their EOS row."""
    rows = np.full((len(codes) + end, codes.shape[1] + 1), MASKED, np.int64)
    rows[: len(codes), :-1] = codes
    if end:
        rows[-1, :-1] = 0
    return rows


def random_rows(count: int, seed: int, *, columns: int = 5, vocab: int = 290) -> PromptRows:
    """Random text rows."""
    return text_rows(*np.random.default_rng(seed).integers(1, vocab, count), columns=columns)


class Listener:
    """A turn's sink: what it heard, and waits for what it is to hear."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.events: list[Event] = []
        self._changed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    @property
    def codes(self) -> np.ndarray:
        """Frames heard so far [F, K]."""
        found = [event.codes for event in self.events if isinstance(event, FrameReady)]
        return np.stack(found) if found else np.zeros((0, 4), np.int64)

    @property
    def started(self) -> Started:
        return next(event for event in self.events if isinstance(event, Started))

    @property
    def terminals(self) -> list[Finished]:
        return [event for event in self.events if isinstance(event, Finished)]

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def frames(self, count: int) -> np.ndarray:
        await self.until(lambda: len(self.codes) >= count)
        return self.codes

    async def finished(self) -> Finished:
        """The terminal, checked to be the only one and the last event."""
        await self.until(lambda: self.terminals)
        await asyncio.sleep(0)
        assert len(self.terminals) == 1
        assert self.events[-1] is self.terminals[0]
        return self.terminals[0]


class Turns:
    """An engine and short ways to use it."""

    def __init__(self, engine: Engine, model: Any) -> None:
        self.engine, self.model = engine, model

    def submit(
        self,
        prompt: PromptRows,
        *,
        owner: str | None = None,
        sampling: SamplingParams = GREEDY,
        seed: int = 1,
        max_frames: int = 10,
        credit: int | None = None,
        deadline_s: float | None = None,
        reservation: Reservation | None = None,
    ) -> Listener:
        key = f"turn-{next(_keys)}"
        listener = Listener(key)
        request = TurnRequest(
            key, owner or key, prompt, sampling, seed, max_frames, credit, deadline_s
        )
        self.engine.submit(request, listener, reservation)
        return listener

    async def speak(self, prompt: PromptRows, **options: Any) -> Listener:
        """Submits, waits for the end."""
        listener = self.submit(prompt, **options)
        await listener.finished()
        return listener

    async def reached(self, gate: str) -> None:
        """Waits until the engine stands at a closed gate of the fake."""
        assert await asyncio.to_thread(self.model.gates[gate].reached.wait, TIMEOUT_S)

    async def settled(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                await asyncio.sleep(0.005)

    async def idle(self, *, cached: int | None = None) -> None:
        """Waits until nothing runs or waits, and checks that nothing is left over."""
        await self.settled(lambda: self.engine.in_flight == 0 and self.engine.load.running == 0)
        assert self.engine.load.waiting == 0
        if cached is not None:
            await self.settled(lambda: self.engine.load.cached == cached)
        if cached == 0:
            assert self.engine.load.kv_cache_usage_ratio == 0


@asynccontextmanager
async def running(
    model: Any,
    *,
    slots: int = 3,
    max_positions: int = 128,
    chunk: int = 16,
    max_queue: int = 4,
    **options: Any,
) -> AsyncIterator[Turns]:
    """An engine over the model, stopped at the end."""
    engine = Engine(Runner(model, slots, max_positions, chunk), max_queue=max_queue, **options)
    engine.start()
    turns = Turns(engine, model)
    try:
        yield turns
    finally:
        for gate in getattr(model, "gates", {}).values():
            gate.open()
        await engine.stop()


def reasons(listeners: Sequence[Listener]) -> list[FinishReason]:
    """The finish reason of each."""
    return [listener.terminals[0].reason for listener in listeners]
