"""Health of one service: liveness under "", readiness under its full name.

Both are read from the host's one `State` at the moment of the question, so no answer is older than
what it is about. Liveness says that the loop turns and that the worker thread still beats; a full
queue never fails it. Readiness says loaded, alive, not draining, and backed by what it leans on.
Protocol: grpc.health.v1.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm import errors
from csm.serving.calls.peer import address_of

MAX_WATCHERS = 128
"""Watch calls at once; each is a task and a stream for as long as its client likes."""

_Status = health_pb2.HealthCheckResponse


@dataclass(frozen=True)
class State:
    """What a service is at this moment."""

    alive: bool
    """False: only a restart helps."""
    reason: str
    """Why it is not ready, for people; empty when it is."""
    notice: str = ""
    """What people should know of it even so."""

    @property
    def ready(self) -> bool:
        """Whether it takes calls."""
        return self.alive and not self.reason


@dataclass(eq=False)
class _Watcher:
    """A Watch call."""

    address: str
    displaced: bool = False
    """Its place is another's now."""


class Health(health_pb2_grpc.HealthServicer):
    """Answers from `state`. Each watcher writes for itself, the latest state, and delays nobody."""

    def __init__(self, service_name: str, state: Callable[[], State]) -> None:
        self.service_name = service_name
        self._state = state
        self._changed = asyncio.Event()
        self._told: State | None = None
        self._watchers: dict[_Watcher, None] = {}
        self._ended = False

    def tell(self) -> None:
        """Wakes the watchers where the state is not the one that they were last told."""
        state = self._state()
        if state != self._told:
            self._told = state
            self._wake()

    def end(self) -> None:
        """Ends the Watch calls, which otherwise hold up the end of a server."""
        self._ended = True
        self._wake()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Raises NotFound where the name is neither "" nor the service's."""
        status = self._status(request.service)
        if status is None:
            raise errors.NotFound("service", request.service, f"known: '' and {self.service_name}")
        return _Status(status=status)

    async def List(
        self, request: health_pb2.HealthListRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthListResponse:
        """Liveness and readiness, by the names that Check takes."""
        response = health_pb2.HealthListResponse()
        for name in ("", self.service_name):
            response.statuses[name].status = self._status(name) or _Status.UNKNOWN
        return response

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status now, and each later one. A client that does not read delays nobody else."""
        watcher = _Watcher(address_of(context.peer()))
        self._make_place(watcher.address)
        self._watchers[watcher] = None
        last: int | None = None
        try:
            while not watcher.displaced:
                # Taken before the status is read: a change in between is then not missed, nor is
                # the last one before the end.
                changed, ended = self._changed, self._ended
                status = self._status(request.service) or _Status.SERVICE_UNKNOWN
                if status != last:
                    last = status
                    yield _Status(status=status)
                if ended:
                    break
                await changed.wait()
        finally:
            self._watchers.pop(watcher, None)
        if watcher.displaced and not self._ended:
            raise errors.QueueFull(f"{MAX_WATCHERS} Watch calls are under way, as many as allowed")
        raise errors.Unavailable("the service is shutting down")

    def _make_place(self, address: str) -> None:
        """Anybody may watch, and nobody may take all the places: where there is none, the address
        that has most loses its oldest. Raises `QueueFull` where that is the one which asks."""
        if len(self._watchers) < MAX_WATCHERS:
            return
        held = Counter(watcher.address for watcher in self._watchers)
        greediest, most = held.most_common(1)[0]
        if held[address] + 1 >= most:
            raise errors.QueueFull(f"{MAX_WATCHERS} Watch calls are under way, as many as allowed")
        oldest = next(one for one in self._watchers if one.address == greediest)
        oldest.displaced = True
        self._watchers.pop(oldest)
        self._wake()

    def _status(self, name: str) -> "health_pb2.HealthCheckResponse.ServingStatus | None":
        state = self._state()
        if name == "":
            return _Status.SERVING if state.alive else _Status.NOT_SERVING
        if name == self.service_name:
            return _Status.SERVING if state.ready else _Status.NOT_SERVING
        return None

    def _wake(self) -> None:
        before, self._changed = self._changed, asyncio.Event()
        before.set()
