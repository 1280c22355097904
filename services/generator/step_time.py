"""How long a step of the engine takes here with so many turns at once: real turns, thrown away."""

from __future__ import annotations

import asyncio
import time
import uuid

import numpy as np

from services.generator.engine.engine import Engine
from services.generator.engine.events import Event, Finished, FinishReason, FrameReady, Sink
from services.generator.engine.turn import PromptRows, TurnRequest
from services.generator.model.sampling import SamplingParams


class StepError(Exception):
    """A turn failed; `__cause__` is why."""


async def step_times_s(
    engine: Engine,
    prompt: PromptRows,
    sampling: SamplingParams,
    turns: int,
    *,
    steps: int,
    within_s: float = float("inf"),
) -> list[float]:
    """Return seconds from frame to frame while `turns` turns advance together.

    Args:
        engine: idle, with as many places.
        prompt: [T, K + 1], of each turn.
        sampling: how codes are drawn.
        turns: at once.
        steps: how many are wanted. Fewer come where a slot has no positions for them.
        within_s: after so many seconds what there is will do, if it is one at least.

    Raises:
        StepError: the model failed.
    """
    measured = _Measured(engine, turns, steps, within_s)
    room = engine.max_positions - len(prompt)
    # Those that begin first go on until the last has its frames.
    frames = max(1, min(room, steps + turns + 2))
    for seed, key in enumerate(measured.keys):
        request = TurnRequest(key, key, prompt, sampling, seed, frames, min_frames=frames)
        engine.submit(request, measured.sink(key))
    await measured.done.wait()
    for key in measured.keys:
        engine.release(key)
    if measured.error is not None:
        raise StepError(str(measured.error)) from measured.error
    return measured.gaps_s


def text_prompt(text_ids: int, length: int, num_codebooks: int) -> PromptRows:
    """Return a prompt of `length` text positions, for a model that knows so many `text_ids`."""
    rows = np.full((length, num_codebooks + 1), -1, dtype=np.int64)
    rows[:, -1] = np.arange(length) % text_ids
    return rows


class _Measured:
    """Hears the turns, and ends them when there is enough."""

    def __init__(self, engine: Engine, turns: int, steps: int, within_s: float) -> None:
        mark = uuid.uuid4().hex
        self.keys = [f"measured:{mark}:{number}" for number in range(turns)]
        self.gaps_s: list[float] = []
        self.error: BaseException | None = None
        self.done = asyncio.Event()
        self._engine, self._steps = engine, steps
        self._until = time.monotonic() + within_s
        self._frames = dict.fromkeys(self.keys, 0)
        self._open = set(self.keys)
        self._together = self._enough = False

    def sink(self, key: str) -> Sink:
        """What hears the turn `key`."""

        def hear(event: Event) -> None:
            if isinstance(event, FrameReady):
                self._frame(key, event)
            elif isinstance(event, Finished):
                self._open.discard(key)
                if event.reason is FinishReason.ERROR:
                    self.error = event.error or RuntimeError("the turn failed")
                if not self._open:
                    self.done.set()

        return hear

    def _frame(self, key: str, event: FrameReady) -> None:
        self._frames[key] += 1
        # Frames still come between the call to end a turn and its end.
        if key != self.keys[0] or self._enough or len(self._open) < len(self.keys):
            return
        # A gap counts when all had a frame before it: no prefill is in it.
        if not self._together:
            self._together = all(self._frames.values())
            return
        if event.gap_s is not None:
            self.gaps_s.append(event.gap_s)
        if len(self.gaps_s) >= self._steps or time.monotonic() > self._until:
            self._enough = True
            for each in self.keys:
                self._engine.cancel(each)
