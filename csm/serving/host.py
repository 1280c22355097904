"""One service on one gRPC server: start, ready, drain, stop.

The drain ends by itself, whatever a peer or a worker does; docs/decisions.md says why connections
close first.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn, Protocol

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from csm import errors
from csm.serving.auth.authenticator import make_authenticator
from csm.serving.auth.rpc_guard import HEALTH, RpcGuard
from csm.serving.auth.rules import Access
from csm.serving.calls.live import LiveCalls
from csm.serving.calls.recorder import CallRecorder
from csm.serving.door import Door
from csm.serving.health import Health, State, leans_on
from csm.serving.logs.access import AccessLog
from csm.serving.logs.format import where
from csm.serving.metrics import Metrics
from csm.serving.process import heap, memory
from csm.serving.process.supervise import supervise
from csm.serving.rpc.interceptor import RpcInterceptor
from csm.serving.rpc.listener import Listener
from csm.serving.rpc.server import make_server, server_options
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
MAX_PROBES = 64
"""Calls at once on the health port."""
STUCK_S = 3.0
"""How long what is to end at once may take."""


class Service(Protocol):
    """What a host needs of a service.

    It may have more. `ready() -> bool`: whether what it leans on answers; `waits_for() -> str`: who
    does not. `memory_bytes() -> Mapping[str, int]`: what its settings cost by part, asked before
    `start`; `weights` and `cache` are certain, the others what clients may use. `door: Door |
    None`: another way in. `access: Access`: what its RPCs need of a caller, `admin` if not in it.
    """

    name: str
    """Full name, e.g. `csm.v1.TokenizerService`."""

    async def start(self) -> None:
        """Loads and warms up; the host is not ready before it returns."""

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the servicer to the server; once more where a new server takes the port."""

    def alive(self) -> bool:
        """Whether the worker thread still beats."""

    async def drain(self, finish_s: float) -> None:
        """Lets live streams finish for `finish_s`; the rest gets its terminal SHUTDOWN."""

    async def stop(self) -> None:
        """Ends the worker and frees what is held."""


def exit_lost() -> NoReturn:
    """Ends the process with 1, so that whatever runs it starts it again."""
    logging.shutdown()
    os._exit(1)


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
        self._listener = Listener(self._build_server, settings.host, settings.port, self.tls)
        self._probes: Listener | None = None
        if settings.health_port is not None:
            self._probes = Listener(self._build_probes, settings.host, settings.health_port)
        if self.tls is not None:
            expiry = metrics.server.certificate_expiry.labels(service.name, "server")
            expiry.set_function(lambda: self.tls.expires_unix_s if self.tls else 0.0)
        metrics.follow(service.name, self.state, lambda: self._draining)

    @property
    def port(self) -> int:
        """Where the server listens; 0 before it does."""
        return self._listener.port

    @property
    def health_port(self) -> int:
        """Where plaintext health checks are answered; 0: nowhere."""
        return self._probes.port if self._probes is not None else 0

    @property
    def server(self) -> grpc.aio.Server:
        """The server; another one after a restart."""
        return self._listener.server

    @property
    def address(self) -> str:
        """Where a client on this machine reaches the server."""
        host = (
            "127.0.0.1" if self.settings.host in ("0.0.0.0", "::", "[::]") else self.settings.host
        )
        return f"{host}:{self.port}"

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
        began = time.monotonic()
        self.check_memory()
        await self._listener.start()
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
        try:
            if self._probes is not None:
                await self._probes.start()
            if self._door is not None:
                await self._door.open(
                    self.state,
                    lambda: self._refusal,
                    self._recorder,
                    self.tls,
                    self._authenticator,
                )
            await self.service.start()
        except BaseException:
            await self._end_watch()
            # A server left running is stopped by its destructor, on a loop that is closed by then.
            await _within(STUCK_S, self._listener.stop(None), "the server")
            await self._stop_probes()
            await self._stop_door(0.0)
            await self._tracing.close()
            raise
        heap.freeze_heap()
        self._refusal = None
        self._not_ready = ""
        self.health.tell()
        log.info(
            "%s ready on %s after %.1f s",
            self.service.name,
            self.address,
            time.monotonic() - began,
        )

    async def stop(self, *, finish_s: float | None = None) -> None:
        """Drains and stops: not ready, GOAWAY and refuse, finish, terminals, worker down.

        It returns within `finish_s`, the delay and 35 seconds, whatever still hangs then.
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
        closed = asyncio.create_task(self._listener.stop(finish_s + CLOSE_GRACE_S))
        if self._door is not None:
            self._door.close()
        await _within(finish_s + CLOSE_GRACE_S, self.service.drain(finish_s), "the drain")
        self.health.end()
        await _within(STOP_GRACE_S + STUCK_S, self._listener.stop(STOP_GRACE_S), "the server")
        await _within(STUCK_S, closed, "the server")
        await self._stop_probes()
        await self._stop_door(STOP_GRACE_S)
        await _ended(telling)
        await self._end_watch()
        self._stopped = True
        await _within(CLOSE_GRACE_S, self.service.stop(), "the service")
        await self._tracing.close()
        self._draining = False

    def _build_server(self) -> grpc.aio.Server:
        server = make_server(
            interceptors=[self._interceptor], options=server_options(self.settings)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        self.service.register(server)
        if self.settings.reflection:
            reflection.enable_server_reflection(
                (self.service.name, HEALTH, reflection.SERVICE_NAME), server
            )
        return server

    def _build_probes(self) -> grpc.aio.Server:
        # Its own interceptor: each keeps one handler a method.
        answering = RpcInterceptor(
            self.metrics.server, lambda: None, MAX_PROBES, self.settings.first_message_s
        )
        server = make_server(interceptors=[answering], options=server_options(self.settings))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        return server

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
            for listener in filter(None, (self._listener, self._probes)):
                if failure := await listener.failure():
                    await self._listen_again(listener, failure)

    async def _listen_again(self, listener: Listener, failure: BaseException) -> None:
        self.metrics.server.server_restarts.labels(self.service.name).inc()
        log.error(
            "the gRPC server of %s ended by %s; a new one takes port %d",
            self.service.name,
            type(failure).__name__,
            listener.port,
        )
        try:
            await listener.restart()
        except Exception as error:
            self._not_ready = "has lost its port"
            log.critical(
                "%s cannot listen on port %d again: %s",
                self.service.name,
                listener.port,
                where(error),
            )
            self._on_lost()

    async def _stop_probes(self) -> None:
        if self._probes is not None:
            await _within(STUCK_S, self._probes.stop(None), "the health port")

    async def _stop_door(self, grace_s: float) -> None:
        if self._door is not None:
            await _within(grace_s + STUCK_S, self._door.stop(grace_s), "the door")

    async def _end_watch(self) -> None:
        for task in (self._watch, self._following):
            if task is not None:
                await _ended(task)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _says(question: Callable[[], bool]) -> bool:
    # A probe that fails is no yes, and must not end those who ask.
    try:
        return question()
    except Exception:
        return False


async def _within(seconds: float, work: Awaitable[None], what: str) -> None:
    """Waits for `work`, and no longer than that; its failure is logged."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not task.done():
        task.cancel()
        log.error("%s has not ended within %g s; going on without", what, seconds)
    elif not task.cancelled() and (error := task.exception()):
        log.error("%s failed to end: %s", what, where(error))
