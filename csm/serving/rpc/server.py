"""A grpc.aio server that no path ends, and that frees nothing which its core still writes to.

grpc.aio decodes the path of a request for an unknown method in the loop that all requests go
through: a path that is not UTF-8 ends the loop, and with it the server. The loop, as it ends, frees
the places where the core will put the next requests, and the core writes to them when it shuts
down: memory of others is overwritten (both seen with grpcio 1.85.1; here a log record lost its
name). So unknown methods are answered apart, by nothing that looks at the path, and the places are
kept until the core is done with them.
"""

import asyncio
import contextlib
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from csm import channel
from csm.serving.settings import ServiceSettings
from csm.serving.tls.server import HANDSHAKE_S

_WHAT_IT_TAKES = (
    (cygrpc.AioServer, "_make_request_call_future"),
    (cygrpc, "_ServicerContext"),
)


class _Server(cygrpc.AioServer):
    """Answers the methods that are registered, as all of generated code are; others not at all."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._kept: set[asyncio.Future[Any]] = set()

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:
        if method is None:
            self._keep(asyncio.ensure_future(self._answer_unknown_methods()))
            return asyncio.get_running_loop().create_future()
        # The loop cancels the shield, not what the core writes to.
        return asyncio.shield(self._keep(super()._make_request_call_future(method)))

    async def _answer_unknown_methods(self) -> None:
        while self.is_running():
            waiting = self._keep(super()._make_request_call_future(None))
            with contextlib.suppress(Exception):
                self._keep(asyncio.ensure_future(_refuse(await asyncio.shield(waiting))))

    def _keep(self, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        self._kept.add(future)
        future.add_done_callback(self._let_go)
        return future

    def _let_go(self, future: asyncio.Future[Any]) -> None:
        self._kept.discard(future)
        # At a shutdown they fail; who does not ask for it reads of it in the log.
        if not future.cancelled():
            future.exception()


async def _refuse(call: Any) -> None:
    context = cygrpc._ServicerContext(call, None, None, asyncio.get_running_loop())
    # The abort raises by design, and where the client is gone already.
    with contextlib.suppress(Exception):
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


def make_server(
    interceptors: list[grpc.aio.ServerInterceptor], options: list[tuple[str, int]]
) -> grpc.aio.Server:
    """A server whose methods are all registered; plain grpc.aio where that has changed inside."""
    if not all(hasattr(where, name) for where, name in _WHAT_IT_TAKES):
        return grpc.aio.server(interceptors=interceptors, options=options)
    usual = cygrpc.AioServer
    cygrpc.AioServer = _Server
    try:
        return grpc.aio.server(interceptors=interceptors, options=options)
    finally:
        cygrpc.AioServer = usual


def server_options(settings: ServiceSettings) -> list[tuple[str, int]]:
    """Channel arguments of a server."""
    options = [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", channel.KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", channel.KEEPALIVE_TIMEOUT_MS),
        # What clients of ours ping by; the default would answer ENHANCE_YOUR_CALM.
        ("grpc.http2.min_ping_interval_without_data_ms", channel.MIN_PING_INTERVAL_MS),
        # Counted from their first byte on, those in their handshake too.
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        # A peer that connects and says nothing holds its place no longer than that.
        ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_S * 1000)),
        # Two processes that silently share a port would break affinity.
        ("grpc.so_reuseport", 0),
    ]
    # Without an age a connection and its calls last as long as they like.
    if settings.max_connection_age_s:
        age_ms = int(settings.max_connection_age_s * 1000)
        options.append(("grpc.max_connection_age_ms", age_ms))
        if settings.max_connection_age_grace_s:
            grace_ms = int(settings.max_connection_age_grace_s * 1000)
            options.append(("grpc.max_connection_age_grace_ms", grace_ms))
    return options
