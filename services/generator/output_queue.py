"""What a stream has to send, in order, for the one reader that waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeAlias

from services.generator.turns import Output, RunningTurn, TurnFrames, joined_frames

Item: TypeAlias = Output | RunningTurn
"""A running turn stands for its terminal, which is made when it is handed out."""


class OutputQueue:
    """Outputs of one stream that were not handed to the writer yet."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def push(self, item: Item) -> None:
        """Appends, and wakes the reader."""
        self._items.append(item)
        self._news.set()

    def pop(self) -> tuple[Item, int]:
        """The next item and how many frames are in it: those that follow each other leave in one
        message."""
        item = self._items.popleft()
        if isinstance(item, TurnFrames):
            return joined_frames(item, self._items)
        return item, 0

    def drop_turn(self) -> None:
        """Takes back the frames and the terminal of the turn under way."""
        kept = (i for i in self._items if not isinstance(i, TurnFrames | RunningTurn))
        self._items = deque(kept)

    def wake(self) -> None:
        """Something other than an output has come about."""
        self._news.set()

    async def wait(self, seconds: float | None) -> bool:
        """Returns True at the next output or `wake`, False where neither came in time."""
        self._news.clear()
        try:
            # Not wait_for: in Python 3.11 it may swallow a cancel.
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True
