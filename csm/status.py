"""The status that a server really gave, where grpc.aio hides it.

A write that fails because the server has just ended the call makes grpc.aio overwrite the status
with INTERNAL "Internal error from Core" (grpc #36066, seen with 1.85.1 in nine of ten calls that
were refused while they wrote). The status that came before it, or right after, is the true one. In
one of some 36,000 such calls no other status ever came (three clients on two busy cores).
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import grpc

_MASK = "Internal error from Core"
LATE_STATUS_S = 1.0
"""It is on its way when a write fails; a machine that is busy takes longer to read it."""


class TrueStatus:
    """Watches one streaming call from its beginning."""

    def __init__(self, call: Any) -> None:
        """`call` is a grpc.aio call that was just made."""
        self._known: grpc.aio.AioRpcError | None = None
        self._arrived = asyncio.Event()
        call.add_done_callback(self._note)

    async def of(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """The error that the server gave, for the one that was raised.

        Its code is OK where the server had ended the call well, and UNAVAILABLE where no status
        is to be had.
        """
        if not _masked(error.code(), error.details()):
            return error
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), LATE_STATUS_S)
        return self._known or _error(grpc.StatusCode.UNAVAILABLE, "the server ended the call", ())

    def _note(self, call: Any) -> None:
        # Called at each status; they are there, so the coroutines end at their first step.
        code, details = _now(call.code()), _now(call.details())
        if _masked(code, details):
            return
        self._known = _error(code, details, _now(call.trailing_metadata()) or ())
        self._arrived.set()


def _error(code: grpc.StatusCode, details: str | None, trailers: Any) -> grpc.aio.AioRpcError:
    make: Any = grpc.aio.AioRpcError  # the stubs for mypy want other arguments
    return make(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details=details)


def _masked(code: grpc.StatusCode, details: str | None) -> bool:
    return code is grpc.StatusCode.INTERNAL and details == _MASK


def _now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as result:
        return result.value
    coroutine.close()
    return None
