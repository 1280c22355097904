"""The gRPC ports of a service: that of its calls, and one for health checks in plaintext."""

import logging

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from csm.serving.auth.rpc_guard import HEALTH
from csm.serving.health import Health
from csm.serving.logs.format import where
from csm.serving.metrics import ServerMetrics
from csm.serving.rpc.interceptor import RpcInterceptor
from csm.serving.rpc.listener import Listener
from csm.serving.rpc.server import make_server, server_options
from csm.serving.service import Service
from csm.serving.settings import ServiceSettings
from csm.serving.tls.server import ServerTls

log = logging.getLogger(__name__)

MAX_PROBES = 64
"""Calls at once on the health port."""


class RpcPorts:
    """Where a service listens, and listens again when a server ends unasked."""

    def __init__(
        self,
        service: Service,
        settings: ServiceSettings,
        health: Health,
        interceptor: RpcInterceptor,
        metrics: ServerMetrics,
        tls: ServerTls | None,
    ) -> None:
        """`tls` None: plaintext. The health port, where the settings ask for one, always is."""
        self._service = service
        self._settings = settings
        self._health = health
        self._interceptor = interceptor
        self._metrics = metrics
        self._calls = Listener(self._build_server, settings.host, settings.port, tls)
        self._probes: Listener | None = None
        if settings.health_port is not None:
            self._probes = Listener(self._build_probes, settings.host, settings.health_port)

    @property
    def port(self) -> int:
        """Where the server listens; 0 before it does."""
        return self._calls.port

    @property
    def health_port(self) -> int:
        """Where plaintext health checks are answered; 0: nowhere."""
        return self._probes.port if self._probes is not None else 0

    @property
    def server(self) -> grpc.aio.Server:
        """The server of calls; another one after a restart."""
        return self._calls.server

    @property
    def address(self) -> str:
        """Where a client on this machine reaches the server."""
        host = self._settings.host
        return f"{'127.0.0.1' if host in ('0.0.0.0', '::', '[::]') else host}:{self.port}"

    async def start(self) -> None:
        """Listens for calls. Raises `OSError` that names the port where it cannot."""
        await self._calls.start()

    async def start_probes(self) -> None:
        """Listens for health checks, where they have a port. Raises as `start`."""
        if self._probes is not None:
            await self._probes.start()

    async def look(self) -> bool:
        """Listens again where a server has ended though nobody stopped it.

        False: its port is not to be had again.
        """
        for listener in filter(None, (self._calls, self._probes)):
            failure = await listener.failure()
            if failure is not None and not await self._listen_again(listener, failure):
                return False
        return True

    async def stop(self, grace_s: float | None) -> None:
        """Closes for new calls at once; those that run are ended after the grace."""
        await self._calls.stop(grace_s)

    async def stop_probes(self) -> None:
        """Closes the health port, if there is one, and ends its calls."""
        if self._probes is not None:
            await self._probes.stop(None)

    def _build_server(self) -> grpc.aio.Server:
        server = make_server(
            interceptors=[self._interceptor], options=server_options(self._settings)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        self._service.register(server)
        if self._settings.reflection:
            reflection.enable_server_reflection(
                (self._service.name, HEALTH, reflection.SERVICE_NAME), server
            )
        return server

    def _build_probes(self) -> grpc.aio.Server:
        # Its own interceptor: each keeps one handler a method.
        answering = RpcInterceptor(
            self._metrics, lambda: None, MAX_PROBES, self._settings.first_message_s
        )
        server = make_server(interceptors=[answering], options=server_options(self._settings))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        return server

    async def _listen_again(self, listener: Listener, failure: BaseException) -> bool:
        self._metrics.server_restarts.labels(self._service.name).inc()
        log.error(
            "the gRPC server of %s ended by %s; a new one takes port %d",
            self._service.name,
            type(failure).__name__,
            listener.port,
        )
        try:
            await listener.restart()
        except Exception as error:
            log.critical(
                "%s cannot listen on port %d again: %s",
                self._service.name,
                listener.port,
                where(error),
            )
            return False
        return True
