"""Clients that do not read: how long an answer waits for them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc.aio import ServicerContext

from csm import errors

UNREAD_S = 300.0
GONE_S = 1.0
"""How long gRPC may take to cancel the handler of a client that has gone."""


class AnswerWriter:
    """Writes the answers of one call.

    gRPC lets a write wait until the client has room for it: for ever, where the client reads
    nothing. One timer a call looks at when the write under way began, so that no message costs a
    timer of its own.
    """

    def __init__(self, context: ServicerContext, limit_s: float) -> None:
        self._context, self._limit_s = context, limit_s
        self._loop = asyncio.get_running_loop()
        self._began_s: float | None = None

    async def write(self, answer: Any) -> None:
        """Returns when the message is on its way."""
        self._began_s = self._loop.time()
        try:
            await self._context.write(answer)
        except grpc.aio.InternalError:
            # So a write fails whose client has gone. The handler is cancelled for it in a moment,
            # and the call is to end by that, not as a fault of ours.
            await asyncio.sleep(GONE_S)
            raise
        self._began_s = None

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Around all writes of the call; ends the one that waits for longer than the limit.

        Raises:
            DeadlineExceeded: that happened.
        """
        timer: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal timer
            now_s = self._loop.time()
            ends_s = (now_s if self._began_s is None else self._began_s) + self._limit_s
            if ends_s <= now_s:
                patience.reschedule(now_s)
            else:
                timer = self._loop.call_at(ends_s, look)

        patience = asyncio.timeout(None)
        try:
            async with patience:
                look()
                yield
        except TimeoutError:
            if not patience.expired():
                raise
            raise errors.DeadlineExceeded(
                f"nothing of the answer was read for {self._limit_s:g} s (max_unread_s)"
            ) from None
        finally:
            if timer is not None:
                timer.cancel()
