"""A call's request messages: the wait for the first one, and what comes after a failure."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc

from csm import errors

PAUSE_S = 0.03
PAUSE_WAITS = 3
READ_ON_S = 1.0

END = object()
"""In place of a message: the client sends none any more."""


class FirstMessages:
    """Calls that were opened and have not said anything yet.

    They are not counted among the calls under way, so that a client that only opens calls takes
    nobody's place. Beyond `most` at once the one that has waited longest is ended: a client that
    means to speak does so within its round trip.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._waiting: dict[asyncio.Timeout, None] = {}

    async def first(self, requests: AsyncIterator[Any]) -> Any:
        """The first message; `END` where the client ends its side without one.

        Raises DeadlineExceeded where none came in time.
        """
        try:
            async with asyncio.timeout(self._seconds) as patience:
                if len(self._waiting) >= self._most:
                    longest = next(iter(self._waiting))
                    del self._waiting[longest]
                    longest.reschedule(asyncio.get_running_loop().time())
                self._waiting[patience] = None
                try:
                    return await anext(requests, END)
                finally:
                    self._waiting.pop(patience, None)
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"first message: none came within {self._seconds:g} s (first_message_s), or before "
                f"{self._most} other calls waited for theirs"
            ) from None


async def read_on(requests: AsyncIterator[Any]) -> None:
    """Takes in and drops what a client is still sending, before it is told of the failure.

    A grpc.aio client whose write meets the end of the call puts an INTERNAL of its own over the
    status that the server sent (grpc issue 36066), so a sender in full flow is let to finish. Ends
    with the client's last message, with the first pause, or after a second at the latest.
    """
    began = time.monotonic()
    while time.monotonic() - began < READ_ON_S:
        message = asyncio.ensure_future(_next(requests))
        # Several short waits: an event loop that stalls for longer than the pause (a collection of
        # garbage is enough) finds one of them over, not all, and the message it kept from coming.
        try:
            for _ in range(PAUSE_WAITS):
                if (await asyncio.wait([message], timeout=PAUSE_S / PAUSE_WAITS))[0]:
                    break
            if not message.done() or message.result() is None:
                return
        finally:
            message.cancel()


async def _next(requests: AsyncIterator[Any]) -> Any:
    """The client's next message; None where none is to come."""
    with contextlib.suppress(RuntimeError, grpc.RpcError):
        return await anext(requests, None)
    return None
