"""Calls that wait for a row of one direction, first come first served. On the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from csm import errors
from csm.serving.metrics import TokenizerMetrics
from services.tokenizer.stream import CodecStream


@dataclass(frozen=True)
class PoolLimits:
    """How long a stream may wait, and be waited for."""

    wait_s: float = 10.0
    """Seconds for a row, while all are in use."""
    decode_wait_s: float = 2.0
    """Seconds at most for a row to decode with."""
    max_waiting: int = 64
    """Streams that wait for a row of a direction; more are refused at once."""
    max_idle_s: float = 300.0
    """Seconds for a reader that takes no outputs, while its stream holds a row."""


class WaitingList:
    """The queue of one direction."""

    def __init__(
        self,
        all_in_use: str,
        opened: Callable[[], CodecStream | None],
        limits: PoolLimits,
        metrics: TokenizerMetrics,
        *,
        decodes: bool = False,
    ) -> None:
        """`all_in_use` says what there is none of, for a refusal; `opened` gives a stream with a
        row, or None where all are taken; `decodes` where the rows are to decode with."""
        self._all_in_use = all_in_use
        self._opened = opened
        self._limits = limits
        self._wait_s, self._setting = limits.wait_s, "stream_wait_s"
        if decodes and limits.decode_wait_s < limits.wait_s:
            self._wait_s, self._setting = limits.decode_wait_s, "decode_wait_s"
        self._metrics = metrics
        self._places: deque[asyncio.Future[CodecStream]] = deque()

    async def acquire(self) -> CodecStream:
        """A stream with a row of its own, at once or in its turn.

        Raises `QueueFull` where too many wait already, and where none is free in time.
        """
        places, limits = self._places, self._limits
        if not places and (stream := self._opened()):
            return stream
        if len(places) >= limits.max_waiting:
            raise self._refusal(f"{len(places)} wait")
        place: asyncio.Future[CodecStream] = asyncio.get_running_loop().create_future()
        places.append(place)
        taken = False
        try:
            async with asyncio.timeout(self._wait_s):
                stream = await place
            taken = True
            return stream
        except TimeoutError:
            raise self._refusal(
                f"none was free within {self._wait_s:g} s ({self._setting})"
            ) from None
        finally:
            if not taken:
                self._leave(place)

    def serve(self) -> None:
        """Gives the rows that are free to those who wait for them."""
        places = self._places
        while places:
            if places[0].done():
                places.popleft()
            elif (stream := self._opened()) is not None:
                places.popleft().set_result(stream)
            else:
                return

    def fail(self, error: BaseException) -> None:
        """All who wait get this error."""
        for place in self._places:
            if not place.done():
                place.set_exception(error)

    def _leave(self, place: asyncio.Future[CodecStream]) -> None:
        if place in self._places:
            self._places.remove(place)
        elif not place.cancelled() and place.exception() is None:
            # The row came in the moment in which its call was cancelled.
            place.result().close()
        place.cancel()

    def _refusal(self, why: str) -> errors.QueueFull:
        self._metrics.rejected.labels("streams_full").inc()
        return errors.QueueFull(f"{self._all_in_use}, {why}")
