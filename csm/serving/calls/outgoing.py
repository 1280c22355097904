"""A call to another service that is made for a call, or a turn, of this one."""

import asyncio
import time
from types import TracebackType
from typing import Any

import grpc

from csm.serving.calls import turn_record
from csm.serving.calls.record import current_call
from csm.serving.calls.request_id import HEADER as REQUEST_ID
from csm.serving.calls.request_id import request_id


class OutgoingCall:
    """Tells the other service whose work it is, and observers when it is over.

    As a context manager it ends with what the block raises, else with OK.
    """

    __slots__ = ("_call", "began_s", "ended_s", "method", "span", "status", "trace", "turn")

    def __init__(self, method: str) -> None:
        """`method` as `package.Service/Method`. Begins now, for the call and the turn that this
        task works for."""
        self.method = method
        self._call = current_call()
        self.turn = turn_record.current.get()
        self.trace = self._call.trace if self.turn is None else self.turn.trace
        self.span: Any = None
        """An observer's own."""
        self.began_s = time.monotonic()
        self.ended_s: float | None = None
        self.status = ""
        """Name of a gRPC code."""
        if self._call.traced:
            self._call.tell_outgoing_began(self)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with it: the request's id, and the trace that it is part of."""
        told = self.trace.metadata() if self.trace is not None else ()
        return (*told, (REQUEST_ID, rid)) if (rid := request_id.get()) else told

    def end(self, status: str) -> None:
        """It is over, with that gRPC code; counts once."""
        if self.ended_s is None:
            self.ended_s, self.status = time.monotonic(), status
            if self._call.traced:
                self._call.tell_outgoing_ended(self)

    def __enter__(self) -> "OutgoingCall":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(_status(error))


def _status(error: BaseException | None) -> str:
    if error is None:
        return grpc.StatusCode.OK.name
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return grpc.StatusCode.CANCELLED.name
    code = getattr(error, "code", None)
    code = code() if callable(code) else code
    return code.name if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN.name
