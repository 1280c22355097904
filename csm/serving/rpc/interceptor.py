"""One interceptor around every RPC of a server: which limits, gate and guard each method has."""

from collections.abc import Awaitable, Callable

import grpc

from csm.serving.auth.rpc_guard import HEALTH, REFLECTION, RpcGuard
from csm.serving.calls.recorder import CallRecorder
from csm.serving.metrics import ServerMetrics
from csm.serving.rpc.concurrency_limit import ConcurrencyLimit
from csm.serving.rpc.message_bytes import counting_in, counting_out
from csm.serving.rpc.method import MAX_STRANGERS, CountedMethod, Gate, RpcMethod
from csm.serving.rpc.requests import FirstMessages
from csm.serving.rpc.unread import UNREAD_S

MAX_REFLECTION_CALLS = 32
REFLECTION_S = 60.0
POLLED = frozenset({"GetLoad", "GetModelInfo", "GetTokenizerInfo"})
"""Methods that every gateway asks every few seconds."""
FIRST_MESSAGE_S = 10.0


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
        self._calls = ConcurrencyLimit(max_calls)
        self._reflecting = ConcurrencyLimit(MAX_REFLECTION_CALLS)
        self._strangers = ConcurrencyLimit(MAX_STRANGERS)
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
        rpc: RpcMethod
        if service == HEALTH:
            rpc = RpcMethod(self._first_of_probes, None, service, method, handler)
        elif service == REFLECTION:
            rpc = RpcMethod(self._first_of_probes, self._reflecting, service, method, handler)
            rpc.limit_s, rpc.probe = REFLECTION_S, True
        else:
            rpc = CountedMethod(self._first, self._calls, service, method, handler)
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
