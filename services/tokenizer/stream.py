"""One stream through the codec: blocks of frames in, blocks of frames out, in order.

Everything public belongs to the event loop. What the worker thread reads and writes has the
pool's lock around it and is marked so.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Literal, Protocol

import numpy as np

from csm.errors import DeadlineExceeded
from services.tokenizer.direction import Block
from services.tokenizer.plan import Ready

Operation = Literal["encode", "decode"]

MAX_WAITING_FRAMES = 64
"""From here on `push` waits: five seconds of audio are queue enough."""
MAX_UNREAD_FRAMES = 32
"""From here on a stream sits out: its reader is slow, and nobody else is to pay for it."""


class Owner(Protocol):
    """What a stream needs of the pool that it belongs to."""

    def submit(self, stream: CodecStream, block: Block) -> None:
        """Frames for a stream."""

    def note_read(self, stream: CodecStream, frames: int) -> None:
        """The stream's reader took `frames` frames."""

    def free_row(self, stream: CodecStream) -> None:
        """The stream needs its row no more. Idempotent."""

    def close(self, stream: CodecStream) -> None:
        """The stream is over. Idempotent."""


class CodecStream:
    """A codec state with a queue on either side. Made by `CodecPool.acquire`."""

    def __init__(self, pool: Owner, operation: Operation, row: int, max_idle_s: float) -> None:
        self.operation = operation
        self.row = row
        self._pool = pool
        self._max_idle_s = max_idle_s
        # With the worker, under the pool's lock.
        self.waiting: deque[Block] = deque()
        self.waiting_frames = 0
        self.unread_frames = 0
        self.served_at = -1
        self.fresh = True
        self.in_step = False
        self.row_freed = False
        self.failed = False
        # The loop's own.
        self._outputs: deque[Block] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._pushed_frames = 0
        self._read_frames = 0
        self._ended = False
        self._error: BaseException | None = None
        self._began: float | None = None

    async def push(self, block: Block) -> None:
        """Appends frames [n, width]; waits while too many wait already.

        Raises what failed, and `DeadlineExceeded` where the reader takes nothing for too long.
        """
        while self.waiting_frames >= MAX_WAITING_FRAMES and self._error is None:
            await self._step_over()
        if self._error is not None:
            raise self._error
        if len(block):
            if self._began is None:
                self._began = time.monotonic()
            self._pushed_frames += len(block)
            self._pool.submit(self, block)

    def end(self) -> None:
        """No more frames will come; the outputs end after the last one pushed."""
        self._ended = True
        self._news.set()

    async def finish(self) -> None:
        """After `end`: returns when the codec has made the last output, and frees the row.

        The outputs may still be read. Raises `DeadlineExceeded` where they are not, so that the
        codec cannot go on.
        """
        while (self.waiting_frames or self.in_step) and self._error is None:
            await self._step_over()
        self._pool.free_row(self)

    async def _step_over(self) -> None:
        """Returns after the next step of this stream."""
        self._room.clear()
        try:
            async with asyncio.timeout(self._max_idle_s):
                await self._room.wait()
        except TimeoutError:
            raise DeadlineExceeded(
                f"nothing of the answer was read for {self._max_idle_s:g} s (max_idle_s)"
            ) from None

    def fail(self, error: BaseException) -> None:
        """Ends the outputs with `error`, after those that are there, and frees the row."""
        if self._error is None:
            self._error = error
        self._news.set()
        self._room.set()
        self._pool.free_row(self)

    def __aiter__(self) -> CodecStream:
        return self

    async def __anext__(self) -> Block:
        while not self._outputs:
            if self._error is not None:
                raise self._error
            if self._ended and self._read_frames == self._pushed_frames:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        block = self._outputs.popleft()
        self._read_frames += len(block)
        self._pool.note_read(self, len(block))
        return block

    def close(self) -> None:
        """Frees the row, within one step if it is in one. Idempotent."""
        self._pool.close(self)
        self._outputs.clear()
        # Its traceback holds whoever holds the stream: a cycle, which would keep the call's audio.
        self._error = None

    def deliver(self, block: Block) -> float | None:
        """Takes what a step made; for the first block, seconds since the first input."""
        self._outputs.append(block)
        self._news.set()
        self._room.set()
        if self._began is None:
            return None
        # A NaN stands for "told already": there is a first block only once.
        waited_s, self._began = time.monotonic() - self._began, float("nan")
        return None if np.isnan(waited_s) else waited_s

    # Under the pool's lock -------------------------------------------------------------------

    def ready(self) -> Ready | None:
        """What the planner is to know, if there is something to do."""
        if not self.waiting_frames or self.in_step or self.row_freed or self.failed:
            return None
        if self.unread_frames >= MAX_UNREAD_FRAMES:
            return None
        return Ready(self.row, self.waiting_frames, not self.fresh, self.served_at)

    def take(self, frames: int) -> Block:
        """The next `frames` frames of those that wait."""
        parts: list[Block] = []
        missing = frames
        while missing:
            block = self.waiting[0]
            if len(block) <= missing:
                self.waiting.popleft()
            else:
                self.waiting[0] = block[missing:]
                block = block[:missing]
            parts.append(block)
            missing -= len(block)
        self.waiting_frames -= frames
        self.unread_frames += frames
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
