"""The clock and the slots of a simulated generator: no model, the same queue."""

import asyncio
import math
import random
from dataclasses import dataclass

from csm import errors

FRAME_MS = 80


@dataclass(frozen=True)
class EngineOptions:
    """How a simulated engine behaves."""

    step_ms: float = 40.0
    """Milliseconds of a step, which makes a frame for every turn that runs."""
    prefill_ms: float = 20.0
    """Between a turn's slot and its first step."""
    slots: int = 64
    max_queue: int = 64
    fail_share: float = 0.0
    """Turns that end with UNAVAILABLE amid their frames, 0..1."""
    frames_per_char: float = 0.85
    seed: int = 0


class SimulatedEngine:
    """Steps at a steady pace; a turn holds a slot from its first sentence to its last."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.running = 0
        self.waiting = 0
        self.frames = 0
        self._random = random.Random(options.seed)
        self._slots = asyncio.Semaphore(options.slots)
        self._step: asyncio.Future[None] | None = None
        self._clock: asyncio.Task[None] | None = None

    async def enter(self) -> None:
        """Takes a slot, or waits for one. Raises `QueueFull` where the queue is."""
        if self._slots.locked():
            if self.waiting >= self.options.max_queue:
                raise errors.QueueFull(f"{self.waiting} turns wait for a slot")
            self.waiting += 1
            try:
                await self._slots.acquire()
            finally:
                self.waiting -= 1
        else:
            await self._slots.acquire()
        self.running += 1
        if self.options.prefill_ms:
            try:
                await asyncio.sleep(self.options.prefill_ms / 1000)
            except BaseException:
                self.leave()
                raise

    def leave(self) -> None:
        """Gives the slot back."""
        self.running -= 1
        self._slots.release()

    async def step(self) -> None:
        """Returns at the end of the next step."""
        if self._step is None:
            self._step = asyncio.get_running_loop().create_future()
            if self._clock is None or self._clock.done():
                self._clock = asyncio.create_task(self._run())
        # Many wait for the same one: who is cancelled must not take it from the others.
        await asyncio.shield(self._step)

    def fails_at(self, frames: int) -> int:
        """The frame before which a turn of so many fails; one that it has not: it does not."""
        if self._random.random() >= self.options.fail_share:
            return frames
        return self._random.randrange(frames)

    def num_frames(self, text: str) -> int:
        """Frames of a sentence, at least one."""
        return max(1, math.ceil(len(text) * self.options.frames_per_char))

    async def _run(self) -> None:
        """Steps while somebody waits for one; each begins where the last one should have ended."""
        loop, step_s = asyncio.get_running_loop(), self.options.step_ms / 1000
        due = loop.time() + step_s
        while self._step is not None:
            await asyncio.sleep(max(0.0, due - loop.time()))
            # A loop that is late does not make up for it, no more than a processor would.
            due = max(due, loop.time() - step_s) + step_s
            step, self._step = self._step, None
            step.set_result(None)
            # Whoever goes on asks for the next one in this turn of the loop or the one after.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
