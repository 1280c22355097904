"""Spans of calls, turns and parts of the work: names, parents, attributes, times."""

import contextlib
import time

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import SpanKind

from csm import errors
from csm.serving.calls import turn_record
from csm.serving.calls.outgoing import OutgoingCall
from csm.serving.calls.record import CallRecord
from csm.serving.calls.recorder import CallRecorder
from csm.serving.calls.trace_context import TraceContext
from csm.serving.tracing.spans import Spans

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", True, "v=1")
NO = TraceContext(PARENT.trace_id, PARENT.span_id, False)


class Traced:
    def __init__(self, ratio: float = 1.0) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(ParentBasedTraceIdRatio(ratio), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self._recorder = CallRecorder((Spans(provider.get_tracer("test")),))
        turn_record.current.set(None)

    def begin(
        self, trace: TraceContext | None = None, method: str = "csm.v1.S/M", probe: bool = False
    ) -> CallRecord:
        return self._recorder.begin(method, "grpc", "r-1", "127.0.0.1", probe=probe, trace=trace)

    def spans(self) -> dict[str, ReadableSpan]:
        kept = {span.name: span for span in self._kept.get_finished_spans()}
        assert len(kept) == len(self._kept.get_finished_spans())
        return kept


def test_a_call_is_a_server_span_below_its_caller() -> None:
    traced = Traced()
    call = traced.begin(PARENT)
    call.num_frames, call.bytes_out = 3, 100
    call.end("OK")
    (span,) = traced.spans().values()
    assert (span.name, span.kind) == ("csm.v1.S/M", SpanKind.SERVER)
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" == PARENT.trace_id == call.trace_id
    assert f"{span.parent.span_id:016x}" == PARENT.span_id
    assert span.attributes == {
        "csm.request_id": "r-1",
        "rpc.system.name": "grpc",
        "rpc.method": "csm.v1.S/M",
        "rpc.response.status_code": "OK",
        "csm.frames": 3,
        "csm.bytes_out": 100,
    }
    assert span.status.is_ok
    assert call.trace is not None
    assert call.trace.state == "v=1"
    assert span.start_time is not None
    assert span.end_time is not None
    assert 0 <= span.end_time - span.start_time < 5e9
    assert abs(span.end_time - time.time_ns()) < 5e9


def test_parts_hang_from_their_turn_and_have_the_times_that_were_taken() -> None:
    traced = Traced()
    call = traced.begin()
    now = time.monotonic()
    turn = call.begin_turn(now - 2)
    turn.turn_id, turn.num_frames, turn.outcome, turn.failovers = "t-1", 5, "completed", 1
    call.stage(turn, "frames", now - 1.5, now - 0.5, frames=5)
    call.stage(None, "queue", now - 1, now - 1)
    call.end_turn(turn, now)
    call.end("OK")
    spans = traced.spans()
    assert spans["turn"].parent == spans["csm.v1.S/M"].context
    assert spans["frames"].parent == spans["turn"].context
    assert spans["queue"].parent == spans["csm.v1.S/M"].context
    assert spans["csm.v1.S/M"].parent is None
    began, ended = spans["frames"].start_time, spans["frames"].end_time
    assert began is not None
    assert ended is not None
    assert ended - began == pytest.approx(1e9, rel=1e-3)
    assert spans["turn"].start_time is not None
    assert began - spans["turn"].start_time == pytest.approx(0.5e9, rel=1e-3)
    assert spans["frames"].attributes == {"csm.frames": 5}
    assert dict(spans["turn"].attributes or {}) == {
        "csm.turn_id": "t-1",
        "csm.outcome": "completed",
        "csm.frames": 5,
        "csm.failovers": 1,
    }


@pytest.mark.parametrize(
    ("status", "failed"), [("OK", False), ("INVALID_ARGUMENT", False), ("UNAVAILABLE", True)]
)
def test_a_servers_span_is_an_error_where_the_fault_is_the_servers(
    status: str, failed: bool
) -> None:
    traced = Traced()
    call = traced.begin()
    call.end(status)
    (span,) = traced.spans().values()
    assert span.status.is_ok is not failed
    assert ("error.type" in (span.attributes or {})) is failed


def test_a_request_over_http_is_named_by_its_route() -> None:
    traced = Traced()
    call = traced.begin(method="")
    call.transport, call.method = "http", "POST /v1/voices/{name}"
    call.end("500", failed=True)
    (span,) = traced.spans().values()
    assert span.name == "POST /v1/voices/{name}"
    attributes = span.attributes or {}
    assert attributes["http.request.method"] == "POST"
    assert attributes["http.route"] == "/v1/voices/{name}"
    assert attributes["http.response.status_code"] == 500
    assert not span.status.is_ok


def test_a_call_to_another_service_hangs_from_the_turn_and_is_what_that_service_hangs_from() -> (
    None
):
    traced = Traced()
    call = traced.begin(PARENT)
    turn = call.begin_turn(time.monotonic())
    turn_record.current.set(turn)
    with contextlib.suppress(errors.Unavailable), OutgoingCall("csm.v1.G/Generate") as outgoing:
        told = dict(outgoing.metadata)
        raise errors.Unavailable("gone")
    call.end_turn(turn, time.monotonic())
    turn_record.current.set(None)
    with OutgoingCall("csm.v1.T/Decode"):
        pass
    call.end("OK")
    spans = traced.spans()
    span = spans["csm.v1.G/Generate"]
    assert span.kind is SpanKind.CLIENT
    assert span.parent == spans["turn"].context
    assert span.context is not None
    assert told == {
        "traceparent": f"00-{PARENT.trace_id}-{span.context.span_id:016x}-01",
        "tracestate": "v=1",
    }
    assert (span.attributes or {})["error.type"] == "UNAVAILABLE"
    assert not span.status.is_ok
    assert spans["csm.v1.T/Decode"].parent == spans["csm.v1.S/M"].context
    assert spans["csm.v1.T/Decode"].status.is_ok


@pytest.mark.parametrize(("ratio", "trace"), [(0.0, None), (1.0, NO), (0.0, NO)])
def test_what_is_not_sampled_makes_no_span_and_says_so_to_others(
    ratio: float, trace: TraceContext | None
) -> None:
    traced = Traced(ratio)
    call = traced.begin(trace)
    turn = call.begin_turn(0.0)
    turn_record.current.set(turn)
    with OutgoingCall("csm.v1.G/Generate") as outgoing:
        told = dict(outgoing.metadata)["traceparent"]
    call.stage(turn, "frames", 0.0, 1.0)
    call.end_turn(turn, 1.0)
    call.end("OK")
    assert traced.spans() == {}
    assert not call.traced
    assert told.startswith(f"00-{call.trace_id}-")
    assert told.endswith("-00")
    if trace is not None:
        assert call.trace_id == trace.trace_id


def test_a_caller_that_keeps_its_trace_has_it_kept_whatever_the_ratio() -> None:
    traced = Traced(0.0)
    traced.begin(PARENT).end("OK")
    assert list(traced.spans()) == ["csm.v1.S/M"]


def test_probes_make_no_spans() -> None:
    traced = Traced()
    traced.begin(PARENT, probe=True).end("OK")
    assert traced.spans() == {}


def test_nothing_of_a_person_is_in_the_spans() -> None:
    traced = Traced()
    call = traced.begin()
    call.keeps_text = True
    call.principal = call.tenant = call.conversation_id = "secret-name"
    turn = call.begin_turn(0.0)
    turn.say("secret-words")
    call.end_turn(turn, 1.0)
    call.end("OK")
    told = "".join(span.to_json() for span in traced.spans().values())
    assert "secret" not in told
    assert "127.0.0.1" not in told


def test_without_spans_what_a_caller_told_goes_on_unchanged() -> None:
    call = CallRecorder().begin("s/M", "grpc", "r", "p", trace=PARENT)
    turn_record.current.set(None)
    assert OutgoingCall("csm.v1.G/Generate").metadata == PARENT.metadata()
    assert call.begin_turn(0.0).trace == PARENT
    assert call.trace_id == PARENT.trace_id
