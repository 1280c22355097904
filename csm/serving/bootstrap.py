"""From settings to a running server and back: start, ready, drain, stop.

`Host` runs one service on one gRPC server; `run` is the whole life of a process with one host.
The order of the drain is that of `reference/serving.md` 2.7, but that connections close first
(docs/decisions.md, Drain).
"""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import NoReturn, Protocol

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

import csm
from csm import errors
from csm.serving import heap as garbage
from csm.serving import logging as csm_logging
from csm.serving.health import Health
from csm.serving.interceptors import RpcInterceptor
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings

log = logging.getLogger(__name__)

WATCH_INTERVAL_S = 0.25
STOP_GRACE_S = 2.0
CLOSE_GRACE_S = 10.0
"""More than a service takes beyond the time that it was given: calls end by their terminals."""


class Service(Protocol):
    """What a host needs of a service."""

    name: str
    """Full name, e.g. `csm.v1.TokenizerService`."""

    async def start(self) -> None:
        """Loads and warms up; the host is not ready before it returns."""

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the servicer to the server."""

    def alive(self) -> bool:
        """Whether the worker thread still beats."""

    async def drain(self, finish_s: float) -> None:
        """Lets live streams finish for `finish_s`; the rest gets its terminal SHUTDOWN."""

    async def stop(self) -> None:
        """Ends the worker and frees what is held."""


def _connection_age(settings: ServiceSettings) -> list[tuple[str, int]]:
    """Channel arguments; without them a connection and its calls last as long as they like."""
    if not settings.max_connection_age_s:
        return []
    age = [("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1000))]
    if settings.max_connection_age_grace_s:
        grace_ms = int(settings.max_connection_age_grace_s * 1000)
        age.append(("grpc.max_connection_age_grace_ms", grace_ms))
    return age


class Host:
    """One service on one gRPC server."""

    def __init__(self, service: Service, settings: ServiceSettings, metrics: Metrics) -> None:
        self.service = service
        self.settings = settings
        self.metrics = metrics
        self.port = 0
        self.health = Health(service.name)
        self._refusal: errors.ServiceError | None = errors.Unavailable(
            "the service is still loading", retry_after_s=2.0
        )
        self._watch: asyncio.Task[None] | None = None
        self._draining = False
        self.server = grpc.aio.server(
            interceptors=[
                RpcInterceptor(metrics.server, lambda: self._refusal, settings.max_concurrent_rpcs)
            ],
            options=[
                *_connection_age(settings),
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                # Clients of ours ping every 30 s; the default would answer ENHANCE_YOUR_CALM.
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
                # Two processes that silently share a port would break affinity.
                ("grpc.so_reuseport", 0),
            ],
        )

    @property
    def address(self) -> str:
        """Where a client on this machine reaches the server."""
        host = (
            "127.0.0.1" if self.settings.host in ("0.0.0.0", "::", "[::]") else self.settings.host
        )
        return f"{host}:{self.port}"

    async def start(self) -> None:
        """Listens at once (not ready), loads, warms up, becomes ready."""
        began = time.monotonic()
        health_pb2_grpc.add_HealthServicer_to_server(self.health.servicer, self.server)
        self.service.register(self.server)
        if self.settings.reflection:
            reflection.enable_server_reflection(
                (self.service.name, "grpc.health.v1.Health", reflection.SERVICE_NAME), self.server
            )
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        try:
            self.port = self.server.add_insecure_port(f"{host}:{self.settings.port}")
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise OSError(f"cannot listen on {host}:{self.settings.port}; is the port taken?")
        self._gauges(ready=0, draining=0)
        await self.health.begin()
        await self.server.start()
        try:
            await self.service.start()
        except BaseException:
            # A server left running is stopped by its destructor, on a loop that is closed by then.
            await self.server.stop(None)
            raise
        garbage.freeze_heap()
        self._refusal = None
        self._gauges(ready=1, draining=0)
        await self.health.set_ready()
        self._watch = asyncio.create_task(self._watch_worker())
        log.info(
            "%s ready on %s after %.1f s",
            self.service.name,
            self.address,
            time.monotonic() - began,
        )

    async def stop(self, *, finish_s: float | None = None) -> None:
        """Drains and stops: not ready, GOAWAY and refuse, finish, terminals, worker down."""
        settings = self.settings
        self._draining = True
        await self.health.set_draining()
        self._gauges(ready=0, draining=1)
        await asyncio.sleep(settings.drain_delay_s)
        self._refusal = errors.Unavailable("the service is shutting down")
        if finish_s is None:
            finish_s = settings.drain_finish_s
        # The connections close for new calls now, not behind the drain: a client that is merely
        # refused keeps its connection, and comes back over it, by its hash to this very server.
        closed = asyncio.create_task(self.server.stop(finish_s + CLOSE_GRACE_S))
        await self.service.drain(finish_s)
        await self.server.stop(STOP_GRACE_S)
        await closed
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self.service.stop()
        self._gauges(ready=0, draining=0)

    def _gauges(self, *, ready: int, draining: int) -> None:
        self.metrics.server.ready.labels(self.service.name).set(ready)
        self.metrics.server.draining.labels(self.service.name).set(draining)

    async def _watch_worker(self) -> None:
        # A service may lean on others: the one that has `ready()` is ready while it says so.
        ready: Callable[[], bool] | None = getattr(self.service, "ready", None)
        was_ready = True
        while True:
            due = time.monotonic() + WATCH_INTERVAL_S
            await asyncio.sleep(WATCH_INTERVAL_S)
            self.metrics.server.loop_delay_seconds.observe(max(0.0, time.monotonic() - due))
            await self.health.set_alive(self.service.alive())
            if ready is None or self._draining:
                continue
            if (is_ready := ready()) != was_ready:
                was_ready = is_ready
                log.warning("%s is %s", self.service.name, "ready" if is_ready else "not ready")
                self._gauges(ready=int(is_ready), draining=0)
                await self.health.set_ready(is_ready)


def expose_metrics(metrics: Metrics, host: str, port: int | None) -> None:
    """Serves the registry over HTTP on a thread of its own; None serves nothing.

    Raises `OSError` with the address where it cannot listen there.
    """
    metrics.server.build_info.labels(csm.__version__).set(1)
    if port is not None:
        try:
            start_http_server(port, addr=host, registry=metrics.registry)
        except OSError as error:
            problem = f"cannot serve metrics on {host}:{port}: {error.strerror}"
            raise OSError(error.errno, problem) from None


def begin_process() -> None:
    """For the first lines of a process that imports for seconds, before `run`.

    A SIGTERM ends it with 0: as process 1 of a container it has no default actions, and would be
    deaf until then. Garbage is looked for seldom, so not amid the imports.
    """
    garbage.collect_seldom()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


async def wait_for_signal() -> None:
    """Returns at the first SIGTERM or SIGINT; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def on_signal() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            # Not the default action: the kernel does not take that for process 1 of a container.
            # And not by the loop, which may be what hangs.
            signal.signal(number, lambda number, _: os._exit(128 + number))
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await stopped.wait()


def end_process() -> NoReturn:
    """Ends the process with 0, at once. For a start that is given up: a thread in the middle of
    loading cannot be cancelled, and the interpreter would wait for it."""
    logging.shutdown()
    os._exit(0)


def run(build: Callable[[Metrics], Service], settings: ServiceSettings) -> None:
    """A process with one service: serve until a signal, drain, exit."""
    csm_logging.configure(settings.log_level, settings.log_format)
    metrics = Metrics().with_process()
    expose_metrics(metrics, settings.host, settings.metrics_port)

    async def life() -> None:
        host = Host(build(metrics), settings, metrics)
        stop = asyncio.create_task(wait_for_signal())
        start = asyncio.create_task(host.start())
        await asyncio.wait({stop, start}, return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
            await stop
            log.info("%s draining", host.service.name)
            await host.stop()
        else:
            log.info("%s told to stop while loading", host.service.name)
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            end_process()

    asyncio.run(life())
