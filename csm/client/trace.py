"""The caller's own trace, where it has one: what a call is part of."""

import sys
from collections.abc import Sequence
from typing import Any

Pairs = Sequence[tuple[str, str | bytes]]


def traced(metadata: Pairs) -> Pairs:
    """The metadata, and the span that is active where this is called, as W3C Trace Context.

    Nothing is added where the metadata names a trace already, where no span is active, or where
    the process does not use OpenTelemetry, which is not imported here.
    """
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return metadata
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or any(key == "traceparent" for key, _ in metadata):
        return metadata
    ids = f"{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    told: list[tuple[str, str | bytes]] = [*metadata, ("traceparent", f"00-{ids}")]
    if context.trace_state:
        told.append(("tracestate", context.trace_state.to_header()))
    return tuple(told)
