"""The HTTP port of a process: `/metrics`, `/healthz`, `/readyz`, and nothing else."""

import socket
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.exposition import choose_encoder

from csm.serving.health import State
from csm.serving.metrics import Metrics, protobuf
from csm.serving.tls.server import ServerTls

PEER_S = 10.0
"""How long a peer may take to ask, and to take a part of the answer."""
MAX_CONNECTIONS = 32

_Answer = tuple[HTTPStatus, str, bytes]


class Endpoint:
    """Serves on a thread of its own, so it answers while the event loop is busy, or stuck."""

    def __init__(
        self, metrics: Metrics, host: str, port: int, tls: ServerTls | None = None
    ) -> None:
        """`tls` None: plaintext; port 0 picks a free one.

        Raises `OSError` where it cannot listen at `host`:`port`.
        """
        self._server = _Server((host, port), _handler(metrics), tls)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()


def liveness(states: Mapping[str, Callable[[], State]]) -> tuple[bool, str]:
    """Whether every service is alive, and a line about each that is not."""
    dead = {name: state.reason for name, ask in states.items() if not (state := ask()).alive}
    return not dead, _lines(dead) or "alive"


def readiness(states: Mapping[str, Callable[[], State]]) -> tuple[bool, str]:
    """Whether there are services and all are ready, and a line about each that is not, or of which
    people should know something."""
    if not states:
        return False, "nothing has started yet"
    now = {name: ask() for name, ask in states.items()}
    waiting = {name: state.reason for name, state in now.items() if not state.ready}
    notices = {name: f"warning: {state.notice}" for name, state in now.items() if state.notice}
    return not waiting, "\n".join(filter(None, (_lines(waiting) or "ready", _lines(notices))))


def _lines(reasons: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {reason}" for name, reason in reasons.items())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        tls: ServerTls | None,
    ) -> None:
        self._context = tls.context(MAX_CONNECTIONS) if tls is not None else None
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
            address = (address[0].strip("[]"), address[1])
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._context is None:
            super().finish_request(request, client_address)
            return
        # In the connection's own thread: a peer that is slow with its handshake delays nobody.
        request.settimeout(PEER_S)
        with self._context.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that goes away amid an answer is no news."""


def _handler(metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    def answer(path: str, accept: str) -> _Answer:
        plain = "text/plain; charset=utf-8"
        if path == "/metrics":
            if protobuf.is_preferred(accept):
                return HTTPStatus.OK, protobuf.CONTENT_TYPE, protobuf.encode(metrics.registry)
            encode, content_type = choose_encoder(accept)
            return HTTPStatus.OK, content_type, encode(metrics.registry)
        if path in ("/healthz", "/readyz"):
            # A copy: services join while others ask.
            states = dict(metrics.states)
            good, text = liveness(states) if path == "/healthz" else readiness(states)
            status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
            return status, plain, f"{text}\n".encode()
        return HTTPStatus.NOT_FOUND, plain, b"there are /metrics, /healthz and /readyz\n"

    class Handler(BaseHTTPRequestHandler):
        timeout = PEER_S
        server_version = "csm"
        sys_version = ""

        def do_GET(self) -> None:
            status, content_type, body = answer(
                urlsplit(self.path).path, self.headers.get("Accept", "")
            )
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            """Probes come every few seconds."""

    return Handler
