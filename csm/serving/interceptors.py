"""One interceptor around every RPC: admission, metrics, request id, errors to statuses.

Every streaming handler of ours is an async generator over `(request_iterator, context)`. The
interceptor turns it into a coroutine that writes, so that a call cancelled while it sends still
closes the generator (its `finally` runs at once, not at the next collection).
"""

import asyncio
import contextlib
import inspect
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import grpc
from grpc.aio import ServicerContext

from csm import errors
from csm.serving.logging import request_id
from csm.serving.metrics import ServerMetrics

log = logging.getLogger(__name__)

EXEMPT = ("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")
PAUSE_S = 0.03
PAUSE_WAITS = 3
READ_ON_S = 1.0
_REQUEST_ID = re.compile(r"[\w.:-]{1,64}")

Gate = Callable[[], errors.ServiceError | None]


class RpcInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each handler of one server. `gate` says why a new call is refused, if it is.

    More than `max_calls` at once are refused too. gRPC's own limit would count health checks and
    refuse them as well, and a full server would be restarted for it.
    """

    def __init__(self, metrics: ServerMetrics, gate: Gate, max_calls: int) -> None:
        self._metrics = metrics
        self._gate = gate
        self._max_calls = max_calls
        self._calls = 0

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(handler_call_details)
        service, _, method = handler_call_details.method.lstrip("/").partition("/")
        if handler is None or service in EXEMPT:
            return handler
        rpc = _Rpc(self._metrics, self._admitted, service, method, handler)
        build = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        return build(
            rpc.stream if handler.response_streaming else rpc.unary,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        """Counts a call; raises why it is refused, if it is."""
        self._calls += 1
        try:
            if refusal := self._gate():
                raise refusal
            if self._calls > self._max_calls:
                raise errors.QueueFull(
                    f"{self._max_calls} calls are under way, as many as are allowed"
                )
            yield
        finally:
            self._calls -= 1


class _Rpc:
    """One method of one service, wrapped."""

    def __init__(
        self,
        metrics: ServerMetrics,
        admitted: Callable[[], AbstractContextManager[None]],
        service: str,
        method: str,
        handler: grpc.RpcMethodHandler,
    ) -> None:
        kind = {
            (False, False): "unary",
            (False, True): "server_stream",
            (True, False): "client_stream",
            (True, True): "bidi_stream",
        }[handler.request_streaming, handler.response_streaming]
        labels = (service, method, kind)
        self._name = f"{service}/{method}"
        self._admitted = admitted
        self._requests_stream = handler.request_streaming
        self._started = metrics.started.labels(*labels)
        self._handled = lambda code: metrics.handled.labels(*labels, code.name)
        self._seconds = metrics.handling_seconds.labels(*labels)
        self._received = metrics.received.labels(*labels)
        self._sent = metrics.sent.labels(*labels)
        self._in_flight = metrics.in_flight.labels(service)
        self._behavior: Any = (
            handler.stream_stream
            or handler.stream_unary
            or handler.unary_stream
            or handler.unary_unary
        )
        if handler.response_streaming and not inspect.isasyncgenfunction(self._behavior):
            raise TypeError(f"{self._name} must be an async generator function")

    async def unary(self, request: Any, context: ServicerContext) -> Any:
        request = self._count(request)

        async def call() -> Any:
            return await self._behavior(request, context)

        return await self._run(call, request, context)

    async def stream(self, request: Any, context: ServicerContext) -> None:
        request = self._count(request)

        async def call() -> None:
            responses = self._behavior(request, context)
            try:
                async for response in responses:
                    await context.write(response)
                    self._sent.inc()
            finally:
                await responses.aclose()

        await self._run(call, request, context)

    def _count(self, request: Any) -> Any:
        return self._counted(request) if self._requests_stream else request

    async def _counted(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            self._received.inc()
            yield request

    async def _run(
        self, call: Callable[[], Awaitable[Any]], request: Any, context: ServicerContext
    ) -> Any:
        metadata = dict(context.invocation_metadata() or ())
        given = str(metadata.get("x-request-id", ""))
        rid = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex[:16]
        request_id.set(rid)
        began = time.monotonic()
        code = grpc.StatusCode.OK
        self._started.inc()
        self._in_flight.inc()
        try:
            with self._admitted():
                return await call()
        except errors.ServiceError as error:
            code = error.code
            log.log(
                logging.ERROR if code is grpc.StatusCode.INTERNAL else logging.INFO,
                "%s ended with %s: %s",
                self._name,
                code.name,
                error.message,
            )
            if self._requests_stream:
                await _read_on(request)
            await _abort(context, error)
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            if (left := context.time_remaining()) is not None and left <= 0:
                code = grpc.StatusCode.DEADLINE_EXCEEDED
            raise
        except grpc.aio.AbortError:
            code = grpc.StatusCode.UNKNOWN
            raise
        except Exception:
            code = grpc.StatusCode.INTERNAL
            log.exception("%s failed, request %s", self._name, rid)
            await _abort(context, errors.Internal(f"internal error, request id {rid}"))
        finally:
            self._in_flight.dec()
            self._handled(code).inc()
            self._seconds.observe(time.monotonic() - began)


async def _read_on(requests: AsyncIterator[Any]) -> None:
    """Takes in and drops what a client is still sending, before it is told of the failure.

    A grpc.aio client whose write meets the end of the call puts an INTERNAL of its own over the
    status that the server sent (grpc issue 36066), so a sender in full flow is let to finish. Ends
    with the client's last message, with the first pause, or after a second at the latest.
    """
    began = time.monotonic()
    while time.monotonic() - began < READ_ON_S:
        message = asyncio.ensure_future(_next(requests))
        # Several short waits: an event loop that stalls for longer than the pause (a collection of
        # garbage is enough) finds one of them over, not all, and the message it kept from coming.
        try:
            for _ in range(PAUSE_WAITS):
                if (await asyncio.wait([message], timeout=PAUSE_S / PAUSE_WAITS))[0]:
                    break
            if not message.done() or message.result() is None:
                return
        finally:
            message.cancel()


async def _next(requests: AsyncIterator[Any]) -> Any:
    """The client's next message; None where none is to come."""
    with contextlib.suppress(RuntimeError, grpc.RpcError):
        return await anext(requests, None)
    return None


async def _abort(context: ServicerContext, error: errors.ServiceError) -> None:
    trailers: list[tuple[str, str | bytes]] = [(errors.DETAILS_KEY, errors.status_details(error))]
    if (pushback := errors.retry_pushback_ms(error)) is not None:
        trailers.append(("grpc-retry-pushback-ms", str(pushback)))
    await context.abort(error.code, error.message, tuple(trailers))
