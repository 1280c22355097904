"""Around every request: its id, who is refused, what failed, and what is counted of it."""

import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csm import errors
from csm.serving.auth import identity
from csm.serving.calls.record import CallRecord
from csm.serving.calls.recorder import CallRecorder
from csm.serving.calls.request_id import HEADER, request_id, request_id_of
from csm.serving.calls.trace_context import TRACEPARENT, TRACESTATE, trace_context_of
from csm.serving.logs.format import where
from csm.serving.metrics.http import HttpMetrics
from gateway.http.bodies import ClientGone, read_on
from gateway.http.connection import abort, client_of
from gateway.http.errors import HttpError, error_response, http_error_response

OTHER = "other"
"""The route of what there is none for."""
_VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WS"})
_CODES = {404: "not_found", 405: "method_not_allowed"}


class Edge:
    """An ASGI application around one that may raise."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: HttpMetrics,
        refusal: Callable[[], errors.ServiceError | None],
        routes: Mapping[Any, str],
        always: frozenset[str],
        recorder: CallRecorder,
    ) -> None:
        """`routes` names the template of each endpoint; `always` are paths that answer also while
        `refusal` says that the service takes nothing: those of probes."""
        self._app = app
        self._metrics = metrics
        self._refusal = refusal
        self._routes = routes
        self._always = always
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one WebSocket from its handshake to its end."""
        # The task of a request may have been begun by that of the one before it on the same
        # connection, and have its principal.
        identity.current.set(identity.ANYBODY)
        headers = Headers(scope=scope)
        rid = request_id_of(headers.get(HEADER, ""))
        request_id.set(rid)
        transport, probe = scope["type"], scope["path"] in self._always
        trace = trace_context_of(headers.get(TRACEPARENT), headers.get(TRACESTATE))
        client = client_of(scope)
        record = self._recorder.begin("", transport, rid, client, probe=probe, trace=trace)
        # As in an application of Starlette: what no route takes is raised, not answered.
        scope["app"] = self
        answer = _Observed(send, rid, record)
        body = _Body(scope, receive, record)
        began = time.monotonic()
        try:
            await self._call(scope, body, answer, record)
        finally:
            self._note(scope, answer.status, time.monotonic() - began, record)

    async def _call(
        self, scope: Scope, body: "_Body", answer: "_Observed", record: CallRecord
    ) -> None:
        try:
            refusal = self._refusal()
            if refusal is not None and scope["path"] not in self._always:
                raise refusal
            await self._app(scope, body, answer)
            return
        except ClientGone:
            return
        except errors.ServiceError as error:
            record.error = error.summary()
            response: Response = error_response(error)
        except HttpError as error:
            record.error = error.code
            response = http_error_response(error)
        except HTTPException as error:
            code = _CODES.get(error.status_code, "error")
            record.error = code
            told = HttpError(error.status_code, code, error.detail, headers=error.headers)
            response = http_error_response(told)
        except Exception as error:
            record.error, rid = where(error), record.request_id
            response = error_response(errors.Internal(f"internal error, request id {rid}"))
        await self._refuse(response, scope, body, answer)

    async def _refuse(
        self, response: Response, scope: Scope, body: "_Body", answer: "_Observed"
    ) -> None:
        if answer.status is not None:
            abort(scope)
        elif scope["type"] == "websocket":
            await _deny(response, answer)
        else:
            if body.read:
                await response(scope, body, answer)
                return
            # Or the rest of it would be taken for the next request.
            response.headers["connection"] = "close"
            await _send_first(response, answer)
            # Who still sends when the connection is closed never reads why.
            await read_on(body)
            await answer({"type": "http.response.body", "body": b""})

    def _note(self, scope: Scope, status: int | None, seconds: float, record: CallRecord) -> None:
        route = self._routes.get(scope.get("endpoint"), OTHER)
        told = str(status or "gone")
        self._metrics.requests.labels(route, told).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        record.method = f"{_verb(scope)} {route}"
        record.end(told, failed=status is not None and status == 500)


def _verb(scope: Scope) -> str:
    verb = str(scope.get("method", "WS"))
    return verb if verb in _VERBS else "OTHER"


class _Body:
    """Where a request comes from: whether all of its body has been read is noted."""

    def __init__(self, scope: Scope, receive: Receive, record: CallRecord) -> None:
        self._receive = receive
        self._record = record
        headers = Headers(scope=scope)
        self.read = "transfer-encoding" not in headers and not int(
            declared if (declared := headers.get("content-length", "0")).isdigit() else "1"
        )

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._record.bytes_in += len(message.get("body", b""))
            if not message.get("more_body", False):
                self.read = True
        elif message["type"] == "websocket.receive":
            self._record.bytes_in += _size(message)
        return message


class _Observed:
    """Where an answer goes: its status is noted, and what all answers have is added."""

    def __init__(self, send: Send, rid: str, record: CallRecord) -> None:
        self._send = send
        self._record = record
        self._rid = rid.encode()
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
            self.status = message.get("status", 101)
            headers = [*message.get("headers", ()), (HEADER.encode(), self._rid)]
            if kind == "http.response.start":
                headers.append((b"date", formatdate(usegmt=True).encode()))
            message = {**message, "headers": headers}
        elif kind == "websocket.send":
            self._record.bytes_out += _size(message)
        else:
            self._record.bytes_out += len(message.get("body", b""))
        await self._send(message)


def _size(message: Message) -> int:
    """Bytes of a message of a WebSocket; of text its characters, which are nearly as many."""
    return len(message.get("bytes") or b"") + len(message.get("text") or "")


async def _send_first(response: Response, answer: "_Observed") -> None:
    """All of an answer but its end."""
    start = {"status": response.status_code, "headers": response.raw_headers}
    await answer({"type": "http.response.start", **start})
    body = bytes(response.body)
    await answer({"type": "http.response.body", "body": body, "more_body": True})


async def _deny(response: Response, answer: "_Observed") -> None:
    """Refuses a WebSocket before it is one."""
    start = {
        "type": "websocket.http.response.start",
        "status": response.status_code,
        "headers": response.raw_headers,
    }
    await answer(start)
    await answer({"type": "websocket.http.response.body", "body": bytes(response.body)})
