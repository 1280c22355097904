"""Which trace a call belongs to, as callers tell it: W3C Trace Context, version 00.

Known here without OpenTelemetry: a service that makes no spans hands on what it was given, and
writes the trace's id into its log.
"""

import re
from dataclasses import dataclass

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"

MAX_STATE_CHARS = 512
"""Of `tracestate`; a longer one is left out, as the standard allows."""

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_STATE = re.compile(r"[\x20-\x7e]*", re.ASCII)
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A trace, and the span in it that what follows hangs from."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    sampled: bool
    """Whether its spans are kept."""
    state: str = ""
    """Of other tracing systems; handed on as it came."""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What tells another service, as gRPC metadata or headers."""
        told = (TRACEPARENT, f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}")
        return (told, (TRACESTATE, self.state)) if self.state else (told,)


def trace_context_of(parent: object, state: object) -> TraceContext | None:
    """What a caller tells by its `traceparent` and `tracestate`; None where that is nothing, or
    cannot be read."""
    found = _PARENT.fullmatch(parent) if isinstance(parent, str) else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    # Of later versions, the beginning is as this one's.
    if (
        version == "ff"
        or (version == "00" and more)
        or not (int(trace_id, 16) and int(span_id, 16))
    ):
        return None
    kept = isinstance(state, str) and len(state) <= MAX_STATE_CHARS and _STATE.fullmatch(state)
    sampled = bool(int(flags, 16) & _SAMPLED)
    return TraceContext(trace_id, span_id, sampled, str(state).strip() if kept else "")
