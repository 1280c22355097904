"""The watermark on its way: a thread marks the sound of a turn, chunk by chunk, in order.

Fail closed: what could not be marked is not sent, and nothing after it.
"""

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from csm import errors
from gateway.sound.watermark import Marking, Watermark

Samples = NDArray[np.float32]
T = TypeVar("T")

log = logging.getLogger(__name__)

THREADS = 4
"""In which turns are marked; a watermark that hangs holds up no other work of the gateway."""
CHUNK_TIMEOUT_S = 30.0
"""What a watermark may take for a chunk, waiting for a thread included."""


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "watermark")


async def _in_thread(work: Callable[..., T], *given: object) -> T:
    """Raises as the work does, and `TimeoutError`."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CHUNK_TIMEOUT_S):
        return await loop.run_in_executor(_threads(), work, *given)


class Marked:
    """The marked sound of one turn. Its methods are called in the event loop."""

    def __init__(
        self,
        watermark: Watermark,
        rate_hz: int,
        on_sound: Callable[[Samples, int, int], None],
        on_taken: Callable[[], None],
        on_failed: Callable[[errors.ServiceError], None],
    ) -> None:
        """`on_sound` gets marked samples, frames and characters of the text as `feed` got them;
        `on_taken` is told when the watermark has all that was fed."""
        self._watermark = watermark
        self._rate_hz = rate_hz
        self._on_sound = on_sound
        self._on_taken = on_taken
        self._on_failed = on_failed
        self._waiting: deque[tuple[Samples, int, int]] = deque()
        self._unmarked: deque[tuple[int, int, int]] = deque()
        """(samples, frames, characters) of what the watermark has and has not given back."""
        self._ended = self._over = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> bool:
        """Whether sound waits for the watermark to take it."""
        return bool(self._waiting) and not self._over

    def feed(self, samples: Samples, num_frames: int, text_chars: int) -> None:
        """The next samples [N]."""
        if self._over:
            return
        self._waiting.append((samples, num_frames, text_chars))
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def finish(self) -> None:
        """There is no more: returns when all of it is marked and handed on, or it has failed."""
        self._ended = True
        self._wake.set()
        if self._task is not None and not self._over:
            await asyncio.wait((self._task,))

    def stop(self) -> None:
        """Nobody listens any more."""
        self._over = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    # --- inside ---

    async def _work(self) -> None:
        try:
            marking = await _in_thread(Marking, self._watermark, self._rate_hz)
            while True:
                while self._waiting:
                    samples, num_frames, text_chars = self._waiting[0]
                    self._unmarked.append((len(samples), num_frames, text_chars))
                    marked = await _in_thread(marking.feed, samples)
                    self._waiting.popleft()
                    self._hand_on(marked)
                if self._ended:
                    self._hand_on(await _in_thread(marking.finish))
                    return
                self._on_taken()
                self._wake.clear()
                await self._wake.wait()
        except Exception as error:
            log.error(
                "the watermark %s failed (%s): the turn's audio is not sent",
                self._watermark.name,
                type(error).__name__,
            )
            self._over = True
            self._waiting.clear()
            self._on_failed(errors.Internal("the watermark failed; no audio is sent without it"))

    def _hand_on(self, samples: Samples) -> None:
        while len(samples):
            length, num_frames, text_chars = self._unmarked[0]
            part, samples = samples[:length], samples[length:]
            if len(part) < length:
                self._unmarked[0] = (length - len(part), num_frames, text_chars)
            else:
                self._unmarked.popleft()
            if not self._over:
                self._on_sound(part, num_frames, text_chars)
