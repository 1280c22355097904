"""The HTTP port of the gateway: uvicorn's protocols on the gateway's own event loop."""

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from csm.errors import ServiceError
from csm.serving.auth.authenticator import Authenticator
from csm.serving.calls.recorder import CallRecorder
from csm.serving.health import State
from csm.serving.metrics.http import HttpMetrics
from csm.serving.tls.server import HANDSHAKE_S, ServerTls
from gateway.http.app import make_app
from gateway.http.connection import KEEP_ALIVE_S, MAX_HEAD_BYTES, BoundedProtocol
from gateway.http.socket_protocol import bounded_sockets
from gateway.messages import MAX_HEARD_BYTES
from gateway.settings import GatewaySettings
from gateway.speech import SpeechHandler

log = logging.getLogger(__name__)

PING_S = 20.0
"""Between two pings of a WebSocket; one that is not answered for as long ends it."""
ABORT_S = 0.5


class HttpServer:
    """Implements `csm.serving.door.Door`."""

    def __init__(
        self, settings: GatewaySettings, speech: SpeechHandler, metrics: HttpMetrics
    ) -> None:
        self._settings = settings
        self._speech = speech
        self._metrics = metrics
        self._connections = ServerState()
        self._server: asyncio.Server | None = None
        self.port = 0
        """Where it listens; 0 before it does."""

    async def open(
        self,
        state: Callable[[], State],
        refusal: Callable[[], ServiceError | None],
        recorder: CallRecorder,
        tls: ServerTls | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        """Listens, in plaintext where `tls` is None.

        Raises `OSError` that names the port where it cannot.
        """
        settings = self._settings
        # uvicorn would log the path of a WebSocket, with whatever a client put there.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        protocol = _bounded(settings)
        config = Config(
            make_app(self._speech, self._metrics, state, refusal, recorder, authenticator),
            http=protocol,
            ws=bounded_sockets(settings.http_max_bodies_bytes),
            lifespan="off",
            log_config=None,
            access_log=False,
            interface="asgi3",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            ws_max_size=MAX_HEARD_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
        )
        config.load()
        connections = self._connections
        self._metrics.connections.set_function(lambda: len(connections.connections))
        host, port = settings.host.strip("[]"), settings.http_port or 0
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: protocol(config, connections, {}), host, port, **_tls(tls, settings)
            )
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot listen on {settings.host}:{port} (http_port; none: no HTTP): "
                f"{os.strerror(error.errno) if error.errno else error}",
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("%s on %s:%d", "HTTPS" if tls else "HTTP", settings.host, self.port)

    def close(self) -> None:
        """Takes no new connections, and ends those on which nothing is under way."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections.connections):
            # A WebSocket ends with its conversation, which the drain ends.
            if isinstance(connection, BoundedProtocol):
                connection.shutdown()

    async def stop(self, grace_s: float) -> None:
        """Ends what is still under way after the grace."""
        self.close()
        if tasks := list(self._connections.tasks):
            await asyncio.wait(tasks, timeout=grace_s)
        for connection in list(self._connections.connections):
            connection.transport.abort()
        # What is under way sees that its client has gone.
        if tasks := list(self._connections.tasks):
            await asyncio.wait(tasks, timeout=ABORT_S)
        for task in list(self._connections.tasks):
            task.cancel()


def _tls(tls: ServerTls | None, settings: GatewaySettings) -> dict[str, Any]:
    if tls is None:
        return {}
    # As many again may be in their handshakes, which the protocol does not see.
    context = tls.context(2 * settings.http_max_connections)
    return {"ssl": context, "ssl_handshake_timeout": HANDSHAKE_S}


def _bounded(settings: GatewaySettings) -> type[BoundedProtocol]:
    bounds = {
        "max_connections": settings.http_max_connections,
        "arrival_s": settings.http_arrival_s,
    }
    return type("HttpProtocol", (BoundedProtocol,), bounds)
