"""Around every request: its id, who is refused, what failed, and what is counted of it."""

import logging
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from csm import errors
from csm.serving.logging import request_id, where
from csm.serving.metrics.http import HttpMetrics
from csm.serving.request_id import HEADER, request_id_of
from gateway.http.bodies import ClientGone
from gateway.http.connection import abort
from gateway.http.errors import HttpError, error_response, http_error_response

log = logging.getLogger(__name__)

OTHER = "other"
"""The route of what there is none for."""
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
    ) -> None:
        """`routes` names the template of each endpoint; `always` are paths that answer also while
        `refusal` says that the service takes nothing."""
        self._app = app
        self._metrics = metrics
        self._refusal = refusal
        self._routes = routes
        self._always = always

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one WebSocket from its handshake to its end."""
        rid = request_id_of(Headers(scope=scope).get(HEADER, ""))
        request_id.set(rid)
        # As in an application of Starlette: what no route takes is raised, not answered.
        scope["app"] = self
        answer = _Observed(send, rid)
        body = _Body(scope, receive)
        began = time.monotonic()
        try:
            await self._call(scope, body, answer, rid)
        finally:
            self._note(scope, answer.status, time.monotonic() - began)

    async def _call(self, scope: Scope, body: "_Body", answer: "_Observed", rid: str) -> None:
        try:
            refusal = self._refusal()
            if refusal is not None and scope["path"] not in self._always:
                raise refusal
            await self._app(scope, body, answer)
            return
        except ClientGone:
            return
        except errors.ServiceError as error:
            level = logging.ERROR if isinstance(error, errors.Internal) else logging.INFO
            log.log(level, "a request ended with %s: %s", error.code.name, error.summary())
            response: Response = error_response(error)
        except HttpError as error:
            response = http_error_response(error)
        except HTTPException as error:
            code = _CODES.get(error.status_code, "error")
            told = HttpError(error.status_code, code, error.detail, headers=error.headers)
            response = http_error_response(told)
        except Exception as error:
            log.error("a request failed, request %s: %s", rid, where(error))
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
            if not body.read:
                # Or the rest of it would be taken for the next request.
                response.headers["connection"] = "close"
            await response(scope, body, answer)

    def _note(self, scope: Scope, status: int | None, seconds: float) -> None:
        route = self._routes.get(scope.get("endpoint"), OTHER)
        self._metrics.requests.labels(route, str(status or "gone")).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        level = logging.DEBUG if scope["path"] in self._always else logging.INFO
        log.log(
            level,
            "%s %s %s in %.1f ms",
            scope.get("method", "WS"),
            route,
            status or "gone",
            1000 * seconds,
        )


class _Body:
    """Where a request comes from: whether all of its body has been read is noted."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        headers = Headers(scope=scope)
        self.read = "transfer-encoding" not in headers and not int(
            declared if (declared := headers.get("content-length", "0")).isdigit() else "1"
        )

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.read = True
        return message


class _Observed:
    """Where an answer goes: its status is noted, and what all answers have is added."""

    def __init__(self, send: Send, rid: str) -> None:
        self._send = send
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
        await self._send(message)


async def _deny(response: Response, answer: "_Observed") -> None:
    """Refuses a WebSocket before it is one."""
    start = {
        "type": "websocket.http.response.start",
        "status": response.status_code,
        "headers": response.raw_headers,
    }
    await answer(start)
    await answer({"type": "websocket.http.response.body", "body": bytes(response.body)})
