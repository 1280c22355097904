"""Native histograms: their buckets, the format in which they are sent, and that nothing else
changes. A real Prometheus takes them in tests/system/test_native_histograms.py."""

import math
import random
import time
import urllib.request
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from csm.serving.metrics import Metrics, protobuf
from csm.serving.metrics.native import MAX_BUCKETS, NativeHistogram, bucket_index
from csm.serving.process.endpoint import Endpoint

PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

LABELS = {"name": (1, "string"), "value": (2, "string")}
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "LabelPair": LABELS,
    "Number": {"value": (1, "double")},
    "Timestamp": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "Exemplar": {
        "label": (1, "*LabelPair"),
        "value": (2, "double"),
        "timestamp": (3, "Timestamp"),
    },
    "Bucket": {
        "cumulative_count": (1, "uint64"),
        "upper_bound": (2, "double"),
        "exemplar": (3, "Exemplar"),
    },
    "BucketSpan": {"offset": (1, "sint32"), "length": (2, "uint32")},
    "Histogram": {
        "sample_count": (1, "uint64"),
        "sample_sum": (2, "double"),
        "bucket": (3, "*Bucket"),
        "schema": (5, "sint32"),
        "zero_threshold": (6, "double"),
        "zero_count": (7, "uint64"),
        "positive_span": (12, "*BucketSpan"),
        "positive_delta": (13, "*sint64"),
    },
    "Metric": {
        "label": (1, "*LabelPair"),
        "gauge": (2, "Number"),
        "counter": (3, "Number"),
        "histogram": (7, "Histogram"),
    },
    "MetricFamily": {
        "name": (1, "string"),
        "help": (2, "string"),
        "type": (3, "uint32"),
        "metric": (4, "*Metric"),
    },
}
"""What we send of Prometheus' metrics.proto: number and type; `*` is repeated."""


def message_class() -> Any:
    """MetricFamily as protobuf itself reads it."""
    file = descriptor_pb2.FileDescriptorProto(name="test_metrics.proto", package="t")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            proto = message.field.add(name=field, number=number)
            proto.label = proto.LABEL_REPEATED if kind[0] == "*" else proto.LABEL_OPTIONAL
            plain = kind.removeprefix("*")
            if plain in MESSAGES:
                proto.type, proto.type_name = proto.TYPE_MESSAGE, f".t.{plain}"
            else:
                proto.type = getattr(proto, f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.MetricFamily"))


def families(data: bytes) -> dict[str, Any]:
    """The families of an answer, by name."""
    kind, found, at = message_class(), {}, 0
    while at < len(data):
        size, shift = 0, 0
        while True:
            size |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 0x80:
                break
        family = kind.FromString(data[at : at + size])
        found[family.name] = family
        at += size
    return found


def counted(histogram: Any) -> dict[int, int]:
    """Counts of native buckets by index, as a scraper puts spans and deltas together."""
    found, index, count = {}, 0, 0
    deltas = iter(histogram.positive_delta)
    for span in histogram.positive_span:
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            found[index] = count
            index += 1
    assert next(deltas, None) is None
    return found


@pytest.mark.parametrize("value", [0.001, 0.08, 0.5, 0.7, 1.0, 1.5, 2.0, 1000.0, 5e-324, 1e300])
def test_a_value_lies_in_its_bucket(value: float) -> None:
    index = bucket_index(value)
    # In logarithms: the bounds of the outermost buckets are no numbers of this machine.
    assert (index - 1) / 8 < math.log2(value) + 1e-12
    assert math.log2(value) <= index / 8 + 1e-12


def test_powers_of_two_are_the_upper_bounds_of_their_buckets() -> None:
    assert [bucket_index(2.0**n) for n in (-3, 0, 1, 5)] == [-24, 0, 8, 40]


def test_what_is_sent_is_what_was_observed() -> None:
    registry = CollectorRegistry()
    histogram = NativeHistogram("h", "Help.", ("rpc",), registry=registry, buckets=(0.1, 1))
    values = [0.0, 0.07, 0.08, 0.08, 0.5, 3.0]
    for value in values:
        histogram.labels("a").observe(value)
    histogram.labels("b")
    first, second = families(protobuf.encode(registry))["h"].metric
    assert [(pair.name, pair.value) for pair in first.label] == [("rpc", "a")]
    sent = first.histogram
    assert (sent.sample_count, sent.zero_count, sent.schema) == (6, 1, 3)
    assert sent.sample_sum == pytest.approx(sum(values))
    wanted: dict[int, int] = {}
    for value in values[1:]:
        wanted[bucket_index(value)] = wanted.get(bucket_index(value), 0) + 1
    assert {k: v for k, v in counted(sent).items() if v} == wanted
    bounds = [(b.upper_bound, b.cumulative_count) for b in sent.bucket]
    assert bounds == [(0.1, 4), (1.0, 5), (math.inf, 6)]
    assert second.histogram.sample_count == 0
    # A scraper knows a native histogram without values by its threshold of zero.
    assert second.histogram.zero_threshold > 0


def test_counters_and_gauges_are_sent_under_their_names() -> None:
    registry = CollectorRegistry()
    Counter("c", "Counted.", ("x",), registry=registry).labels('"\n').inc(2)
    Gauge("g", "Now.", registry=registry).set(-1.5)
    found = families(protobuf.encode(registry))
    assert set(found) == {"c_total", "g"}
    assert found["c_total"].metric[0].counter.value == 2
    assert found["c_total"].metric[0].label[0].value == '"\n'
    assert (found["g"].type, found["g"].metric[0].gauge.value) == (1, -1.5)


def test_buckets_are_bounded_and_no_value_is_lost() -> None:
    registry = CollectorRegistry()
    histogram = NativeHistogram("h", "Help.", registry=registry)
    numbers = random.Random(1)
    for _ in range(5000):
        histogram.observe(10 ** numbers.uniform(-9, 9))
    histogram.observe(math.inf)
    sent = families(protobuf.encode(registry))["h"].metric[0].histogram
    assert sent.schema < 3
    assert 20 < len(counted(sent)) <= MAX_BUCKETS
    assert sum(counted(sent).values()) == sent.sample_count == 5000


def test_the_text_format_is_that_of_an_ordinary_histogram() -> None:
    ours, usual = CollectorRegistry(), CollectorRegistry()
    for kind, registry in ((NativeHistogram, ours), (Histogram, usual)):
        kind("h", "Help.", ("rpc",), registry=registry).labels("a").observe(0.3)
    assert generate_latest(ours) == generate_latest(usual)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (f"{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1", True),
        (f"{PROTOBUF};q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1", True),
        (f"application/openmetrics-text;version=1.0.0;q=0.6,{PROTOBUF};q=0.5", False),
        (PROTOBUF.replace("delimited", "text"), False),
        ("application/vnd.google.protobuf", False),
        (f"{PROTOBUF};q=oops", False),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        ("", False),
    ],
)
def test_only_who_prefers_it_gets_protobuf(accept: str, wanted: bool) -> None:
    assert protobuf.is_preferred(accept) is wanted
    endpoint = Endpoint(Metrics(), "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{endpoint.port}/metrics"
        request = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=5) as answer:
            kind, body = answer.headers["Content-Type"], answer.read()
    finally:
        endpoint.close()
    assert (kind == protobuf.CONTENT_TYPE) is wanted
    if wanted:
        assert "csm_event_loop_delay_seconds" in families(body)
    else:
        assert b"# HELP csm_event_loop_delay_seconds" in body


def test_an_exemplar_is_sent_with_the_bucket_of_its_value() -> None:
    registry = CollectorRegistry()
    histogram = NativeHistogram("h", "Help.", registry=registry, buckets=(0.1, 1))
    histogram.observe(0.05)
    histogram.observe(0.5, {"trace_id": "4bf9"})
    (metric,) = families(protobuf.encode(registry))["h"].metric
    with_one = [b for b in metric.histogram.bucket if b.HasField("exemplar")]
    assert [b.upper_bound for b in with_one] == [1]
    exemplar = with_one[0].exemplar
    assert [(pair.name, pair.value) for pair in exemplar.label] == [("trace_id", "4bf9")]
    assert exemplar.value == 0.5
    sent_s = exemplar.timestamp.seconds + exemplar.timestamp.nanos / 1e9
    assert abs(time.time() - sent_s) < 60
