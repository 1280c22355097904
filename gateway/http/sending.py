"""Sending answers to clients that may leave, or may not read."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Message, Receive, Send

from csm import errors


async def while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> bool:
    """Does the work, or leaves it off at once when the client goes; False: it has gone.

    The body of the request must have been read. Raises what the work raises.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def disconnected(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Sender:
    """Sends parts of an answer; each may wait so long for a client that does not read."""

    def __init__(self, send: Send, max_unread_s: float) -> None:
        self._send = send
        self._max_unread_s = max_unread_s

    async def send(self, message: Message) -> None:
        """Returns when it is on its way. Raises `DeadlineExceeded`."""
        try:
            async with asyncio.timeout(self._max_unread_s):
                await self._send(message)
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"nothing of the answer was read for {self._max_unread_s:g} s (max_unread_s)"
            ) from None
