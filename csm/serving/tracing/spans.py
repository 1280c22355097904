"""Spans of calls, of their turns, and of the parts of the work; docs/tracing.md has the table.

The one module that knows OpenTelemetry's spans. What lasts (a call, a turn, a call to another
service) is a span from its beginning, for others to hang from; parts of the work become spans when
they are over, from the times that were taken. A span costs some 20 microseconds here and as much
again where it is sent: there is none for a frame.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from csm.serving.calls.outgoing import OutgoingCall
from csm.serving.calls.record import CallObserver, CallRecord, Figure
from csm.serving.calls.trace_context import TraceContext
from csm.serving.calls.turn_record import TurnRecord

SERVER_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Codes by which a server's span is an error, as OpenTelemetry's conventions have it."""
NO_FAULTS = frozenset({"OK", "CANCELLED"})
"""Codes by which a call to another service is none: whoever calls may have heard enough."""
FAILED_TURNS = frozenset({"failed", "deadline"})


@dataclass(slots=True)
class _Open:
    """A span under way."""

    span: Span
    context: Context
    """With it as the one to hang from."""
    wall_ns: int
    """What the monotonic clock is to be moved by. One number for all of a call, or its spans would
    jump with the machine's clock."""

    def at(self, monotonic_s: float) -> int:
        """A time as spans have it."""
        return self.wall_ns + int(monotonic_s * 1e9)


class Spans(CallObserver):
    """Makes the spans of one service."""

    def __init__(self, tracer: Tracer, clock: Callable[[], int] = time.time_ns) -> None:
        """`tracer` samples by its parents. `clock` gives nanoseconds of Unix time."""
        self._tracer = tracer
        self._clock = clock

    def call_began(self, call: CallRecord) -> None:
        if call.probe:
            return
        above = Context() if call.trace is None else _remote(call.trace)
        wall_ns = self._clock() - time.monotonic_ns()
        began = wall_ns + int(call.began_s * 1e9)
        # A route is known when the request is over: so is the name.
        span = self._tracer.start_span(call.method, above, SpanKind.SERVER, start_time=began)
        context = span.get_span_context()
        if not context.is_valid:
            return
        call.trace = _told(context)
        if span.is_recording():
            call.traced = True
            call.span = _Open(span, set_span_in_context(span, Context()), wall_ns)

    def call_ended(self, call: CallRecord) -> None:
        if call.traced:
            one: _Open = call.span
            one.span.update_name(call.method)
            one.span.set_attributes(_call_attributes(call))
            fault = call.status in SERVER_FAULTS or (call.transport != "grpc" and call.failed)
            if fault:
                one.span.set_status(Status(StatusCode.ERROR, call.error or None))
            one.span.end(one.at(call.ended_s or time.monotonic()))

    def turn_began(self, call: CallRecord, turn: TurnRecord) -> None:
        if call.traced:
            above: _Open = call.span
            name = "turn heard" if turn.heard else "turn"
            began = above.at(turn.began_s)
            span = self._tracer.start_span(name, above.context, start_time=began)
            turn.trace = _told(span.get_span_context())
            turn.span = _Open(span, set_span_in_context(span, Context()), above.wall_ns)

    def turn_ended(self, call: CallRecord, turn: TurnRecord) -> None:
        if turn.span is not None:
            one: _Open = turn.span
            one.span.set_attributes(_turn_attributes(turn))
            if turn.outcome in FAILED_TURNS:
                one.span.set_status(Status(StatusCode.ERROR, turn.error or None))
            one.span.end(one.at(turn.ended_s or time.monotonic()))

    def stage_ended(
        self,
        call: CallRecord,
        turn: TurnRecord | None,
        stage: str,
        began_s: float,
        ended_s: float,
        figures: Mapping[str, Figure],
    ) -> None:
        above: _Open = call.span if turn is None else turn.span
        named = {f"csm.{name}": figure for name, figure in figures.items()}
        span = self._tracer.start_span(
            stage, above.context, attributes=named, start_time=above.at(began_s)
        )
        span.end(above.at(ended_s))

    def outgoing_began(self, call: CallRecord, outgoing: OutgoingCall) -> None:
        above: _Open = call.span if outgoing.turn is None else outgoing.turn.span
        began = above.at(outgoing.began_s)
        named = {"rpc.system.name": "grpc", "rpc.method": outgoing.method}
        span = self._tracer.start_span(
            outgoing.method, above.context, SpanKind.CLIENT, named, start_time=began
        )
        outgoing.trace = _told(span.get_span_context())
        outgoing.span = _Open(span, above.context, above.wall_ns)

    def outgoing_ended(self, call: CallRecord, outgoing: OutgoingCall) -> None:
        one: _Open = outgoing.span
        one.span.set_attribute("rpc.response.status_code", outgoing.status)
        if outgoing.status not in NO_FAULTS:
            one.span.set_attribute("error.type", outgoing.status)
            one.span.set_status(Status(StatusCode.ERROR))
        one.span.end(one.at(outgoing.ended_s or time.monotonic()))


def _remote(trace: TraceContext) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([trace.state]) if trace.state else None
    context = SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), True, flags, state)
    return set_span_in_context(NonRecordingSpan(context), Context())


def _told(context: SpanContext) -> TraceContext:
    return TraceContext(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        context.trace_flags.sampled,
        context.trace_state.to_header() if context.trace_state else "",
    )


def _call_attributes(call: CallRecord) -> dict[str, Figure]:
    figures: dict[str, Figure] = {"csm.request_id": call.request_id}
    if call.transport == "grpc":
        figures["rpc.system.name"] = "grpc"
        figures["rpc.method"] = call.method
        figures["rpc.response.status_code"] = call.status
        if call.status in SERVER_FAULTS:
            figures["error.type"] = call.status
    else:
        verb, _, route = call.method.partition(" ")
        figures["http.request.method"] = "GET" if verb == "WS" else verb
        figures["http.route"] = route
        figures["csm.transport"] = call.transport
        if call.status.isdigit():
            figures["http.response.status_code"] = int(call.status)
        if call.failed:
            figures["error.type"] = call.status
    return figures | _there(
        {
            "csm.turns": call.num_turns,
            "csm.heard_turns": call.num_heard,
            "csm.frames": call.num_frames,
            "csm.bytes_in": call.bytes_in,
            "csm.bytes_out": call.bytes_out,
        }
    )


def _turn_attributes(turn: TurnRecord) -> dict[str, Figure]:
    first_ms = turn.first_audio_ms
    return _there(
        {
            "csm.turn_id": turn.turn_id,
            "csm.outcome": turn.outcome,
            "csm.finish_reason": turn.finish_reason,
            "csm.first_audio_ms": 0.0 if first_ms is None else round(first_ms, 1),
            "csm.queue_ms": round(turn.queue_ms, 1),
            "csm.prefill_ms": round(turn.prefill_ms, 1),
            "csm.audio_s": round(turn.audio_s, 3),
            "csm.frames": turn.num_frames,
            "csm.prompt_frames": turn.prompt_frames,
            "csm.reused_frames": turn.reused_frames,
            "csm.text_tokens": turn.text_tokens,
            "csm.text_chars": turn.text_chars,
            "csm.warnings": turn.num_warnings,
            "csm.retries": turn.retries,
            "csm.failovers": turn.failovers,
        }
    )


def _there(figures: Mapping[str, Figure]) -> dict[str, Figure]:
    """Without what is zero or empty."""
    return {name: figure for name, figure in figures.items() if figure}
