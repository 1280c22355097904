"""One service on one gRPC server: start, ready, drain, stop.

The drain ends by itself, whatever a peer or a worker does; docs/decisions.md says why connections
close first.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import grpc

from csm import errors
from csm.serving.auth.authenticator import make_authenticator
from csm.serving.auth.rpc_guard import RpcGuard
from csm.serving.auth.rules import Access
from csm.serving.calls.live import LiveCalls
from csm.serving.calls.recorder import CallRecorder
from csm.serving.door import Door
from csm.serving.health import Health, State
from csm.serving.logs.access import AccessLog
from csm.serving.metrics import Metrics
from csm.serving.process import heap, memory
from csm.serving.process.ending import ended, within
from csm.serving.process.exit import exit_lost
from csm.serving.process.supervise import supervise
from csm.serving.rpc.interceptor import RpcInterceptor
from csm.serving.rpc.ports import RpcPorts
from csm.serving.service import Service, leans_on
from csm.serving.settings import ServiceSettings
from csm.serving.tls.exposure import exposure
from csm.serving.tls.server import ServerTls
from csm.serving.tracing.setup import open_tracing

log = logging.getLogger(__name__)

WATCH_INTERVAL_S = 0.25
LOOP_STUCK_S = 30.0
"""A loop that has not turned for so long is not alive. Loading stalls it for seconds."""
STOP_GRACE_S = 2.0
CLOSE_GRACE_S = 10.0
"""More than a service takes beyond the time that it was given: calls end by their terminals."""
STUCK_S = 3.0
"""How long what is to end at once may take."""
LAST_CALLS_S = 1.0
"""How long the handlers of calls that are over may take to end."""


class Host:
    """One service on one gRPC server.

    `state` is the one place that says whether the service is alive and ready: the gRPC health
    service, the metrics and the HTTP probes all ask it.
    """

    def __init__(
        self,
        service: Service,
        settings: ServiceSettings,
        metrics: Metrics,
        on_lost: Callable[[], None] = exit_lost,
        tls: ServerTls | None = None,
    ) -> None:
        """`on_lost` is called where the server has ended and its port is not to be had again.

        `tls` None: as the settings say. Raises `InvalidArgument` where its files cannot be used,
        ValueError where those that tell callers apart cannot.
        """
        self.service = service
        self.settings = settings
        self.metrics = metrics
        self._on_lost = on_lost
        self._not_ready = "is loading"
        self._refusal: errors.ServiceError | None = errors.Unavailable(
            "the service is still loading", retry_after_s=2.0
        )
        self._beat: float | None = None
        self._began = 0.0
        self._draining = False
        self._stopped = self._memory_checked = False
        self._watch: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._exposure = exposure(settings)
        self._authenticator = make_authenticator(settings, metrics.server)
        access: Access = getattr(service, "access", {})
        guard = RpcGuard(self._authenticator, access) if self._authenticator else None
        self.health = Health(service.name, self.state)
        self._door: Door | None = getattr(service, "door", None)
        self._live = LiveCalls()
        self._tracing = open_tracing(settings, service.name, metrics.server)
        # Spans first: what the others write has the trace's id.
        observers = (*self._tracing.observers, self._live, AccessLog(settings.access_log))
        self._recorder = CallRecorder(observers, settings.log_text)
        self._interceptor = RpcInterceptor(
            metrics.server,
            lambda: self._refusal,
            settings.max_concurrent_rpcs,
            settings.first_message_s,
            settings.max_unread_s,
            recorder=self._recorder,
            guard=guard,
        )
        self.tls = tls or ServerTls.of(settings)
        self._ports = RpcPorts(
            service, settings, self.health, self._interceptor, metrics.server, self.tls
        )
        if self.tls is not None:
            expiry = metrics.server.certificate_expiry.labels(service.name, "server")
            expiry.set_function(lambda: self.tls.expires_unix_s if self.tls else 0.0)
        metrics.follow(service.name, self.state, lambda: self._draining)

    @property
    def port(self) -> int:
        """Where the server listens; 0 before it does."""
        return self._ports.port

    @property
    def health_port(self) -> int:
        """Where plaintext health checks are answered; 0: nowhere."""
        return self._ports.health_port

    @property
    def server(self) -> grpc.aio.Server:
        """The server; another one after a restart."""
        return self._ports.server

    @property
    def address(self) -> str:
        """Where a client on this machine reaches the server."""
        return self._ports.address

    def state(self) -> State:
        """Alive and ready, or why not, at this moment. May be asked from any thread."""
        if self._stopped:
            return State(True, "has stopped")
        if self._beat is not None and (age := time.monotonic() - self._beat) > LOOP_STUCK_S:
            return State(False, f"its event loop has not turned for {age:.0f} s")
        if not _says(self.service.alive):
            return State(False, "its worker does not beat")
        if self._not_ready:
            return State(True, self._not_ready)
        leans: Callable[[], bool] | None = getattr(self.service, "ready", None)
        if leans is not None and not _says(leans):
            return State(True, f"waits for {leans_on(self.service)}", self._exposure)
        return State(True, "", self._exposure)

    async def start(self) -> None:
        """Listens at once (not ready), loads, warms up, becomes ready.

        Raises `OSError` where it cannot listen, FailedPrecondition where the memory is too small
        for what is certain, and what the service raises.
        """
        try:
            await self.open()
            await self.load()
        except BaseException:
            await self.abandon()
            raise

    async def open(self) -> None:
        """The first half of `start`: listens, and lets the service look at what is its own.

        One that fails here or in `load` is to be abandoned.
        """
        self._began = time.monotonic()
        self.check_memory()
        await self._ports.start()
        self._beat = time.monotonic()
        self._watch = asyncio.create_task(
            supervise(f"host of {self.service.name}", self._watch_service, self.metrics)
        )
        if self._exposure:
            log.warning("%s %s", self.service.name, self._exposure)
        if self._authenticator is not None:
            self._following = asyncio.create_task(
                supervise("identity", self._authenticator.follow, self.metrics)
            )
        await self._ports.start_probes()
        if self._door is not None:
            await self._door.open(
                self.state,
                lambda: self._refusal,
                self._recorder,
                self.tls,
                self._authenticator,
            )
        prepare: Callable[[], Awaitable[None]] | None = getattr(self.service, "prepare", None)
        if prepare is not None:
            await prepare()

    async def load(self) -> None:
        """The second half: loads, warms up, becomes ready."""
        await self.service.start()
        heap.freeze_heap()
        self._refusal = None
        self._not_ready = ""
        self.health.tell()
        log.info(
            "%s ready on %s after %.1f s",
            self.service.name,
            self.address,
            time.monotonic() - self._began,
        )

    async def abandon(self) -> None:
        """Frees what one that did not become ready has taken, but for what is the service's."""
        await self._end_watch()
        # A server left running is stopped by its destructor, on a loop that is closed by then.
        await within(STUCK_S, self._ports.stop(None), "the server")
        await within(STUCK_S, self._ports.stop_probes(), "the health port")
        await self._stop_door(0.0)
        await self._tracing.close()

    async def stop(self, *, finish_s: float | None = None) -> None:
        """Drains and stops: not ready, GOAWAY and refuse, finish, terminals, worker down.

        It returns within `finish_s`, the delay and 40 seconds, whatever still hangs then.
        """
        settings = self.settings
        self._draining = True
        self._not_ready = "is draining"
        self.health.tell()
        if finish_s is None:
            finish_s = settings.drain_finish_s
        waits_s = settings.drain_delay_s + finish_s
        telling = asyncio.create_task(self._live.tell_of_drain(self.service.name, waits_s))
        await asyncio.sleep(settings.drain_delay_s)
        self._refusal = errors.Unavailable("the service is shutting down")
        # The connections close for new calls now, not behind the drain: a client that is merely
        # refused keeps its connection, and comes back over it, by its hash to this very server.
        closed = asyncio.create_task(self._ports.stop(finish_s + CLOSE_GRACE_S))
        if self._door is not None:
            self._door.close()
        await within(finish_s + CLOSE_GRACE_S, self.service.drain(finish_s), "the drain")
        self.health.end()
        await within(STOP_GRACE_S + STUCK_S, self._ports.stop(STOP_GRACE_S), "the server")
        await within(STUCK_S, closed, "the server")
        await within(STUCK_S, self._ports.stop_probes(), "the health port")
        await self._stop_door(STOP_GRACE_S)
        # The server knows a call as over before its handler, of a client that has gone, has ended.
        await self._live.empty(LAST_CALLS_S)
        await ended(telling)
        await self._end_watch()
        self._stopped = True
        await within(CLOSE_GRACE_S, self.service.stop(), "the service")
        await self._tracing.close()
        self._draining = False

    def check_memory(self) -> None:
        """Adds what the service costs to what the process has; `start` does, unless it is done.

        Raises FailedPrecondition where what is certain does not fit.
        """
        if self._memory_checked:
            return
        self._memory_checked = True
        parts: Callable[[], Mapping[str, int]] | None = getattr(self.service, "memory_bytes", None)
        if parts is None or self.settings.memory_check == "off":
            return
        # One process may hold several services, and what it takes now is counted once.
        known = self.metrics.memory_bytes
        known.setdefault("process", memory.resident_bytes())
        known.update(memory.of_service(self.service.name, parts()))
        refuse = self.settings.memory_check == "refuse"
        if limit := memory.find_limit():
            memory.check(known, limit, refuse=refuse)
        if free := memory.find_free():
            memory.check(known, free, refuse=refuse, certain_only=True)

    async def _watch_service(self) -> None:
        was_ready = lost = False
        while True:
            due = time.monotonic() + WATCH_INTERVAL_S
            await asyncio.sleep(WATCH_INTERVAL_S)
            self._beat = time.monotonic()
            self.metrics.server.loop_delay_seconds.observe(max(0.0, self._beat - due))
            self.health.tell()
            if self._draining:
                continue
            state = self.state()
            if was_ready and not state.ready:
                log.warning("%s is not ready: %s", self.service.name, state.reason)
                lost = True
            elif lost and state.ready:
                log.warning("%s is ready again", self.service.name)
                lost = False
            was_ready = state.ready
            if self.tls is not None:
                self.tls.look()
            if not await self._ports.look():
                self._not_ready = "has lost its port"
                self._on_lost()

    async def _stop_door(self, grace_s: float) -> None:
        if self._door is not None:
            await within(grace_s + STUCK_S, self._door.stop(grace_s), "the door")

    async def _end_watch(self) -> None:
        for task in (self._watch, self._following):
            if task is not None:
                await ended(task)


def _says(question: Callable[[], bool]) -> bool:
    # A probe that fails is no yes, and must not end those who ask.
    try:
        return question()
    except Exception:
        return False
