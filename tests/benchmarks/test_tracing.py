"""What traces cost is measured with real spans that a real collector took."""

from benchmarks.tracing import Shape, collector, make_spans


def test_spans_are_made_and_sent_and_their_cpu_is_counted() -> None:
    with collector() as endpoint:
        few = make_spans(endpoint, 100, Shape(parts=0, outgoing=0, with_turn=False))
        many = make_spans(endpoint, 100, Shape(parts=60, outgoing=0, with_turn=True))
    assert 0 < few < many
