"""The calls of a pool that are under way, for a drain that waits for them. On the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from services.tokenizer.stream import CodecStream

T = TypeVar("T")


class OpenCalls:
    """Calls and streams that are not over, and the end that a drain puts to waits."""

    def __init__(self) -> None:
        self.streams: set[CodecStream] = set()
        self._calls = 0
        self._all_closed: asyncio.Event | None = None
        self._shutdown: asyncio.Future[None] | None = None

    def start(self) -> None:
        """To be called on the event loop that they will run on."""
        self._all_closed = asyncio.Event()
        self._shutdown = asyncio.get_running_loop().create_future()

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """A call is under way, whether or not it has a stream yet: a drain waits for it."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._note_closed()

    def close(self, stream: CodecStream) -> None:
        """The stream is over."""
        self.streams.discard(stream)
        self._note_closed()

    def shut_down(self, error: BaseException) -> None:
        """What waits (`before_shutdown`) gets this error, now and from here on."""
        if self._shutdown is not None and not self._shutdown.done():
            self._shutdown.set_exception(error)
            # There may be nobody who waits.
            self._shutdown.exception()

    async def before_shutdown(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns; it is cancelled, and the drain's error raised, when one ends."""
        if self._shutdown is None:
            return await work
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, self._shutdown), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._shutdown.result()
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # Its error holds this frame: a cycle, which would keep the call's audio for long.
            del task

    async def until_closed(self, within_s: float) -> None:
        """Returns when all are over, or that many seconds have passed."""
        if self._busy and self._all_closed is not None:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), within_s)

    @property
    def _busy(self) -> bool:
        return bool(self._calls or self.streams)

    def _note_closed(self) -> None:
        if not self._busy and self._all_closed is not None:
            self._all_closed.set()
