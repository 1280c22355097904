"""A bidirectional call to a backend, as two plain ends. Nobody who sends ever waits."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc

from csm.serving.calls.outgoing import OutgoingCall
from csm.status import TrueStatus
from gateway.backends.failure import BackendFailure
from gateway.speaking.fate import Source

# The stubs for mypy do not know it.
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]


class Requests:
    """The request side of a call: an iterator over what was put."""

    def __init__(self) -> None:
        self._queue: deque[tuple[Any, int]] = deque()
        self.closed = False
        self.waiting_bytes = 0
        self.taken = asyncio.Event()
        """Set whenever the call has taken one."""
        self._waiter: asyncio.Future[None] | None = None

    def put(self, request: Any, num_bytes: int = 0) -> None:
        """Appends; nothing goes after the close. `num_bytes` count as waiting until it is taken."""
        if not self.closed:
            self._queue.append((request, num_bytes))
            self.waiting_bytes += num_bytes
            self._wake()

    @property
    def last(self) -> Any:
        """The request put last, while the call has not taken it; else None."""
        return self._queue[-1][0] if self._queue else None

    def drop(self) -> None:
        """Forgets what waits: the call has ended."""
        self._queue.clear()
        self.waiting_bytes = 0

    def close(self) -> None:
        """Half-closes the call after what is in the queue."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            while self._queue:
                request, num_bytes = self._queue.popleft()
                self.waiting_bytes -= num_bytes
                self.taken.set()
                yield request
            if self.closed:
                return
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class Call:
    """A call to a backend; reads answers, turns statuses into `BackendFailure`."""

    def __init__(
        self,
        source: Source,
        method: Any,
        timeout_s: float | None,
        metadata: tuple[tuple[str, str], ...] = (),
        *,
        rpc: str = "",
        at_once: bool = True,
    ) -> None:
        """Opens the call; not `at_once`: the first `read` does. `rpc` names the method."""
        self.source = source
        self.requests = Requests()
        self._outgoing = OutgoingCall(rpc)
        metadata = (*metadata, *self._outgoing.metadata)
        self._open = partial(method, timeout=timeout_s, metadata=metadata)
        self._call: Any = None
        self._status: TrueStatus | None = None
        self._cancelled = False
        self._failure: BackendFailure | None = None
        if at_once:
            self._begin()

    def _begin(self) -> TrueStatus:
        if self._cancelled:
            raise self._failure or asyncio.CancelledError
        self._call = self._open(aiter(self.requests))
        self._status = TrueStatus(self._call)
        return self._status

    async def read(self) -> Any:
        """The next answer; None after the last."""
        status = self._status or self._begin()
        try:
            answer = await self._call.read()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._failure is None or (task is not None and task.cancelling()):
                raise
            raise self._failure from None
        except grpc.aio.AioRpcError as raised:
            error = await status.of(raised)
            self._outgoing.end(error.code().name)
            if error.code() is grpc.StatusCode.OK:
                return None
            raise BackendFailure.of(self.source, error) from error
        if answer is EOF:
            self._outgoing.end(grpc.StatusCode.OK.name)
            return None
        return answer

    def fail(self, failure: BackendFailure) -> None:
        """Ends the call at once, on both sides; `read` raises `failure`."""
        self._failure = failure
        self._outgoing.end(failure.code.name)
        self.cancel()

    def cancel(self) -> None:
        """Ends the call at once, on both sides; `read` raises CancelledError."""
        self.requests.close()
        self._cancelled = True
        self._outgoing.end(grpc.StatusCode.CANCELLED.name)
        if self._call is not None:
            self._call.cancel()
