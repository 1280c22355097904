"""Connections: how many, how long the head of a request may take, and how one is cut."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from csm.serving.auth import identity
from gateway.settings import GatewaySettings

MAX_HEAD_BYTES = 16 << 10
KEEP_ALIVE_S = 30
"""How long a connection may lie idle between two requests."""


FLUSH_S = 5.0
"""How long a connection that ends may take to be rid of what was sent: its client may not read."""


def abort(scope: MutableMapping[str, Any]) -> None:
    """Ends the connection of a request in the middle of its answer."""
    transport = transport_of(scope)
    if transport is not None:
        transport.close()
        abort_later(scope)


def abort_later(scope: MutableMapping[str, Any]) -> None:
    """Sees to it that a connection which is being closed does not stay for a client that does not
    read."""
    transport = transport_of(scope)
    if transport is not None:
        asyncio.get_running_loop().call_later(FLUSH_S, transport.abort)


def transport_of(scope: MutableMapping[str, Any]) -> asyncio.Transport | None:
    """The connection of a request; None where it is not known."""
    of_connection = scope.get("state", {}).get("transport")
    return of_connection() if of_connection is not None else None


def client_of(scope: MutableMapping[str, Any]) -> str:
    """Who asks: the principal, else by address without a port; as for gRPC."""
    client = scope.get("client")
    return identity.counted_as(str(client[0]) if client else "unknown")


def origins(settings: GatewaySettings) -> list[str]:
    """The web pages that may call, as origins, or `*`."""
    return [one.strip() for one in settings.http_cors_origins.split(",") if one.strip()]


class BoundedProtocol(H11Protocol):
    """A connection that is refused where there are too many, and cut where nothing comes of it.

    uvicorn itself waits without end for the rest of a head.
    """

    max_connections = 1024
    arrival_s = 30.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(
            config, server_state, {**app_state, "transport": lambda: self.transport}, _loop
        )
        self._arrival: asyncio.TimerHandle | None = None
        # uvicorn's own has whatever a client put into a path.
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            told = f"{self.max_connections} connections are open, as many as are allowed"
            self._refuse(503, told, "server_error", "unavailable")
            return
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expected()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._expected()
        elif self._arrival is None and self.transport.get_protocol() is self:
            self._expect()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The rest of the connection's life is another protocol's."""
        self._expected()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """What is no request, or has a head of more than `MAX_HEAD_BYTES`."""
        told = f"the request is not HTTP/1.1, or its head has more than {MAX_HEAD_BYTES} bytes"
        self._refuse(400, told, "invalid_request_error", "invalid_http")

    def _expect(self) -> None:
        self._arrival = self.loop.call_later(self.arrival_s, self._too_late)

    def _expected(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _too_late(self) -> None:
        self._arrival = None
        told = f"no request came within {self.arrival_s:g} s (http_arrival_s)"
        self._refuse(408, told, "invalid_request_error", "request_timeout")

    def _refuse(self, status: int, message: str, kind: str, code: str) -> None:
        error = {"message": message, "type": kind, "param": None, "code": code}
        body = json.dumps({"error": error}).encode()
        head = (
            f"HTTP/1.1 {status} \r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        if not self.transport.is_closing():
            self.transport.write(head.encode() + body)
            self.transport.close()
