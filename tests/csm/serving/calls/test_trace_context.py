"""W3C trace context: what is taken, what is not, and what is handed on."""

import pytest

from csm.serving.calls.trace_context import MAX_STATE_CHARS, TraceContext, trace_context_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{SPAN}-01"


def test_what_a_caller_tells_is_handed_on_as_it_came() -> None:
    taken = trace_context_of(GIVEN, "vendor=abc,other=1")
    assert taken == TraceContext(TRACE, SPAN, True, "vendor=abc,other=1")
    assert taken.metadata() == (("traceparent", GIVEN), ("tracestate", "vendor=abc,other=1"))
    unsampled = trace_context_of(f"00-{TRACE}-{SPAN}-00", None)
    assert unsampled is not None
    assert not unsampled.sampled
    assert unsampled.metadata() == (("traceparent", f"00-{TRACE}-{SPAN}-00"),)


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    taken = trace_context_of(f"cc-{TRACE}-{SPAN}-03-more", "")
    assert taken == TraceContext(TRACE, SPAN, True)


@pytest.mark.parametrize(
    "given",
    [
        None,
        b"\xff",
        "",
        "words of a client",
        GIVEN.upper(),
        GIVEN + "-more",
        GIVEN + "\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
    ],
)
def test_what_is_no_trace_context_is_none(given: object) -> None:
    assert trace_context_of(given, "a=b") is None


@pytest.mark.parametrize("state", [None, b"a=b", "a=\x01", "é=1", "x" * (MAX_STATE_CHARS + 1)])
def test_a_state_that_cannot_be_told_is_left_out(state: object) -> None:
    taken = trace_context_of(GIVEN, state)
    assert taken is not None
    assert taken.state == ""
