"""One interceptor around every RPC: admission, metrics, request id, errors to statuses.

Every streaming handler of ours is an async generator over `(request_iterator, context)`. The
interceptor turns it into a coroutine that writes, so that a call cancelled while it sends still
closes the generator (its `finally` runs at once, not at the next collection).

All handlers take their requests as a stream: the interceptor itself waits for the first message,
of unary requests too, for which gRPC would wait without end.
"""

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from grpc.aio import ServicerContext

from csm import errors
from csm.serving.auth.rpc_guard import HEALTH, REFLECTION, RpcGuard
from csm.serving.calls.peer import address_of
from csm.serving.calls.record import current_call
from csm.serving.calls.recorder import CallRecorder
from csm.serving.calls.request_id import HEADER as REQUEST_ID
from csm.serving.calls.request_id import request_id, request_id_of
from csm.serving.calls.trace_context import TRACEPARENT, TRACESTATE, trace_context_of
from csm.serving.logs.format import where
from csm.serving.metrics import ServerMetrics
from csm.serving.rpc.message_bytes import counting_in, counting_out
from csm.serving.rpc.requests import END, FirstMessages, read_on
from csm.serving.rpc.unread import UNREAD_S, AnswerWriter

log = logging.getLogger(__name__)

MAX_REFLECTION_CALLS = 32
REFLECTION_S = 60.0
POLLED = frozenset({"GetLoad", "GetModelInfo", "GetTokenizerInfo"})
"""Methods that every gateway asks every few seconds."""
FIRST_MESSAGE_S = 10.0
MAX_STRANGERS = 32
"""Streams of callers that nobody knows which are read on before they are refused: what they send
has the bound of a message each, and nothing else bounds how many they are."""
ABORT_S = 1.0
"""How long a status may take to a client that does not read; it finds it when it does."""

Gate = Callable[[], errors.ServiceError | None]


class RpcInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each handler of one server. `gate` says why a new call is refused, if it is.

    More than `max_calls` at once are refused too. gRPC's own limit would count health checks and
    refuse them as well, and a full server would be restarted for it. A call whose first message
    does not come within `first_message_s` ends with DEADLINE_EXCEEDED, and so does one whose client
    leaves an answer unread for `max_unread_s`.
    """

    def __init__(
        self,
        metrics: ServerMetrics,
        gate: Gate,
        max_calls: int,
        first_message_s: float = FIRST_MESSAGE_S,
        max_unread_s: float = UNREAD_S,
        recorder: CallRecorder | None = None,
        guard: RpcGuard | None = None,
    ) -> None:
        """`guard` says who calls and whether they may; None: all may."""
        self._recorder = recorder or CallRecorder()
        self._guard = guard
        self._max_unread_s = max_unread_s
        self._metrics = metrics
        self._gate = gate
        self._calls = _Calls(max_calls)
        self._reflecting = _Calls(MAX_REFLECTION_CALLS)
        self._strangers = _Calls(MAX_STRANGERS)
        self._first = FirstMessages(first_message_s, max_calls)
        # Apart: however many wait to speak, a health check is not ended for them.
        self._first_of_probes = FirstMessages(first_message_s, max_calls)
        self._wrapped: dict[str, tuple[grpc.RpcMethodHandler, grpc.RpcMethodHandler]] = {}
        """By method: a handler and what is called in its place. Only methods that there are."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        path = handler_call_details.method
        known = self._wrapped.get(path)
        if known is None or known[0] is not handler:
            known = self._wrapped[path] = handler, self._wrap(path, handler)
        return known[1]

    def _wrap(self, path: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        service, _, method = path.lstrip("/").partition("/")
        rpc: _Rpc
        if service == HEALTH:
            rpc = _Rpc(self._first_of_probes, None, service, method, handler)
        elif service == REFLECTION:
            rpc = _Rpc(self._first_of_probes, self._reflecting, service, method, handler)
            rpc.limit_s, rpc.probe = REFLECTION_S, True
        else:
            rpc = _CountedRpc(self._first, self._calls, service, method, handler)
            rpc.gate, rpc.probe = self._gate, method in POLLED
            rpc.count_in(self._metrics)
        rpc.max_unread_s, rpc.strangers = self._max_unread_s, self._strangers
        if service != HEALTH:
            rpc.recorder = self._recorder
        if self._guard is not None:
            rpc.admit_caller = self._guard.of(service, method)
        build = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        return build(
            rpc.stream if handler.response_streaming else rpc.unary,
            request_deserializer=counting_in(handler.request_deserializer),
            # The only answer is made bytes when the call has ended: it is counted before.
            response_serializer=counting_out(handler.response_serializer)
            if handler.response_streaming
            else handler.response_serializer,
        )


class _Calls:
    """How many calls of a kind are under way, and may be."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = 0

    def check(self) -> None:
        """Raises QueueFull where there is no place."""
        if not self.has_place():
            raise errors.QueueFull(f"{self._most} calls are under way, as many as are allowed")

    def has_place(self) -> bool:
        """Whether there is one."""
        return self._now < self._most

    def begin(self) -> None:
        """Takes a place. Raises QueueFull where there is none."""
        self.check()
        self._now += 1

    def end(self) -> None:
        """Gives it back."""
        self._now -= 1


class _Rpc:
    """One method of one service, wrapped."""

    gate: Gate = staticmethod(lambda: None)
    admit_caller: Callable[[ServicerContext], Awaitable[object]] | None = None
    """Says whether the caller may; None: all may."""
    strangers = _Calls(MAX_STRANGERS)
    """Places of those whom nobody knows, while they are read on."""
    limit_s: float | None = None
    """How long a call may last."""
    max_unread_s = UNREAD_S
    """How long an answer may wait for a client that does not read."""
    recorder = CallRecorder()
    """Tells nobody."""
    probe = False
    """Of no interest to the log, and nothing that a drain waits for."""

    def __init__(
        self,
        first: FirstMessages,
        calls: _Calls | None,
        service: str,
        method: str,
        handler: grpc.RpcMethodHandler,
    ) -> None:
        self.service, self.method = service, method
        self.kind = {
            (False, False): "unary",
            (False, True): "server_stream",
            (True, False): "client_stream",
            (True, True): "bidi_stream",
        }[handler.request_streaming, handler.response_streaming]
        self.name = f"{service}/{method}"
        self._first = first
        self._calls = calls
        self._requests_stream = handler.request_streaming
        self._behavior: Any = (
            handler.stream_stream
            or handler.stream_unary
            or handler.unary_stream
            or handler.unary_unary
        )
        if handler.response_streaming and not inspect.isasyncgenfunction(self._behavior):
            raise TypeError(f"{self.name} must be an async generator function")

    def received(self) -> None:
        """A message of a request stream came."""

    def sent(self) -> None:
        """A message of a response stream went."""

    def began(self) -> None:
        """A call has begun."""

    def ended(self, code: grpc.StatusCode, seconds: float) -> None:
        """It has ended, with this status."""

    async def unary(self, requests: Any, context: ServicerContext) -> Any:
        async def call(request: Any) -> Any:
            answer = await self._behavior(request, context)
            if isinstance(answer, Message):
                current_call().bytes_out += answer.ByteSize()
            return answer

        return await self._run(call, requests, context)

    async def stream(self, requests: Any, context: ServicerContext) -> None:
        async def call(request: Any) -> None:
            responses = self._behavior(request, context)
            writer = AnswerWriter(context, self.max_unread_s)
            try:
                async with writer.watched():
                    async for response in responses:
                        await writer.write(response)
                        self.sent()
            finally:
                await responses.aclose()

        await self._run(call, requests, context)

    async def _admit(
        self, call: Callable[[Any], Awaitable[Any]], requests: AsyncIterator[Any]
    ) -> Any:
        """Refuses at once what is to be refused; a place is taken only with the first message."""
        self._check()
        first = await self._first.first(requests)
        if refusal := self.gate():
            raise refusal
        if self._calls:
            self._calls.begin()
        try:
            if self._requests_stream:
                return await call(self._all(first, requests))
            if first is END:
                raise errors.invalid("request", "none was sent; one message is needed")
            return await call(first)
        finally:
            if self._calls:
                self._calls.end()

    def _check(self) -> None:
        if refusal := self.gate():
            raise refusal
        if self._calls:
            self._calls.check()

    async def _read_on(self, error: errors.ServiceError, requests: Any) -> None:
        if not isinstance(error, errors.Unauthenticated):
            await read_on(aiter(requests))
        elif self.strangers.has_place():
            self.strangers.begin()
            try:
                await read_on(aiter(requests))
            finally:
                self.strangers.end()

    async def _all(self, first: Any, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        if first is END:
            return
        self.received()
        yield first
        async for request in requests:
            self.received()
            yield request

    async def _run(
        self, call: Callable[[Any], Awaitable[Any]], requests: Any, context: ServicerContext
    ) -> Any:
        metadata = dict(context.invocation_metadata() or ())
        rid = request_id_of(str(metadata.get(REQUEST_ID, "")))
        request_id.set(rid)
        peer = address_of(context.peer())
        trace = trace_context_of(metadata.get(TRACEPARENT), metadata.get(TRACESTATE))
        record = self.recorder.begin(self.name, "grpc", rid, peer, probe=self.probe, trace=trace)
        context.set_trailing_metadata(((REQUEST_ID, rid),))
        limit: asyncio.Timeout | None = None
        code, began = grpc.StatusCode.OK, time.monotonic()
        self.began()
        try:
            # Before anything of the call is read, and before it has anybody's place.
            if self.admit_caller is not None:
                await self.admit_caller(context)
            # One iterator: a cancelled wait for a message leaves the others their place in it.
            requests = aiter(requests)
            if self.limit_s is None:
                return await self._admit(call, requests)
            limit = asyncio.timeout(self.limit_s)
            async with limit:
                return await self._admit(call, requests)
        except errors.ServiceError as error:
            code, record.error = error.code, error.summary()
            if self._requests_stream:
                await self._read_on(error, requests)
            await _abort(context, error, rid)
        except asyncio.CancelledError:
            left = context.time_remaining()
            late = left is not None and left <= 0
            code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
            raise
        except grpc.aio.AbortError:
            code = grpc.StatusCode.UNKNOWN
            raise
        except DecodeError:
            code = grpc.StatusCode.INVALID_ARGUMENT
            record.error = "the request is not the message of this RPC"
            await _abort(context, errors.invalid("request", "is not the message of this RPC"), rid)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit is not None and limit.expired():
                late_error = errors.DeadlineExceeded(f"a call may last {self.limit_s:g} s")
                code, record.error = late_error.code, late_error.summary()
                await _abort(context, late_error, rid)
            code, record.error = grpc.StatusCode.INTERNAL, where(error)
            await _abort(context, errors.Internal(f"internal error, request id {rid}"), rid)
        finally:
            self.ended(code, time.monotonic() - began)
            record.end(code.name, failed=code is grpc.StatusCode.INTERNAL)


class _CountedRpc(_Rpc):
    """A method of a service of ours: refused while the gate says so, and measured."""

    def count_in(self, metrics: ServerMetrics) -> None:
        """Sets where the calls are counted."""
        labels = (self.service, self.method, self.kind)
        self._started = metrics.started.labels(*labels)
        self._handled = lambda code: metrics.handled.labels(*labels, code.name)
        self._seconds = metrics.handling_seconds.labels(*labels)
        self._received = metrics.received.labels(*labels)
        self._sent = metrics.sent.labels(*labels)
        self._in_flight = metrics.in_flight.labels(self.service)

    def received(self) -> None:
        self._received.inc()

    def sent(self) -> None:
        self._sent.inc()

    def began(self) -> None:
        self._started.inc()
        self._in_flight.inc()

    def ended(self, code: grpc.StatusCode, seconds: float) -> None:
        self._in_flight.dec()
        self._handled(code).inc()
        self._seconds.observe(seconds)


async def _abort(context: ServicerContext, error: errors.ServiceError, rid: str) -> None:
    trailers: list[tuple[str, str | bytes]] = [
        (errors.DETAILS_KEY, errors.status_details(error)),
        (REQUEST_ID, rid),
    ]
    if (pushback := errors.retry_pushback_ms(error)) is not None:
        trailers.append(("grpc-retry-pushback-ms", str(pushback)))
    try:
        async with asyncio.timeout(ABORT_S):
            await context.abort(error.code, error.message, tuple(trailers))
    except TimeoutError:
        # The status is behind what the client has not read. Of all that a handler may raise, gRPC
        # takes this for the end of a call and adds nothing.
        raise asyncio.CancelledError from None
