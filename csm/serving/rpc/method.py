"""One RPC method and what is done around it: admission, records, errors to statuses.

Every streaming handler of ours is an async generator over `(request_iterator, context)`. It is
turned into a coroutine that writes, so that a call cancelled while it sends still closes the
generator (its `finally` runs at once, not at the next collection).

All handlers take their requests as a stream: the first message is waited for here, of unary
requests too, for which gRPC would wait without end.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from grpc.aio import ServicerContext

from csm import errors
from csm.serving.calls.peer import address_of
from csm.serving.calls.record import current_call
from csm.serving.calls.recorder import CallRecorder
from csm.serving.calls.request_id import HEADER as REQUEST_ID
from csm.serving.calls.request_id import request_id, request_id_of
from csm.serving.calls.trace_context import TRACEPARENT, TRACESTATE, trace_context_of
from csm.serving.logs.format import where
from csm.serving.metrics import ServerMetrics
from csm.serving.rpc.abort import abort
from csm.serving.rpc.concurrency_limit import ConcurrencyLimit
from csm.serving.rpc.requests import END, FirstMessages, read_on
from csm.serving.rpc.unread import UNREAD_S, AnswerWriter

MAX_STRANGERS = 32
"""Streams of callers that nobody knows which are read on before they are refused: what they send
has the bound of a message each, and nothing else bounds how many they are."""

Gate = Callable[[], errors.ServiceError | None]
"""Why a new call is refused, if it is."""


class RpcMethod:
    """One method of one service, wrapped."""

    gate: Gate = staticmethod(lambda: None)
    admit_caller: Callable[[ServicerContext], Awaitable[object]] | None = None
    """Says whether the caller may; None: all may."""
    strangers = ConcurrencyLimit(MAX_STRANGERS)
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
        calls: ConcurrencyLimit | None,
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
            await abort(context, error, rid)
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
            await abort(context, errors.invalid("request", "is not the message of this RPC"), rid)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit is not None and limit.expired():
                late_error = errors.DeadlineExceeded(f"a call may last {self.limit_s:g} s")
                code, record.error = late_error.code, late_error.summary()
                await abort(context, late_error, rid)
            code, record.error = grpc.StatusCode.INTERNAL, where(error)
            await abort(context, errors.Internal(f"internal error, request id {rid}"), rid)
        finally:
            self.ended(code, time.monotonic() - began)
            record.end(code.name, failed=code is grpc.StatusCode.INTERNAL)


class CountedMethod(RpcMethod):
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
