"""Metrics in Prometheus' protobuf format, the one in which it takes native histograms.

A stream of `io.prometheus.client.MetricFamily`, each behind its length. The few fields that are
needed are written here by hand: the message types would have to be one more dependency.
"""

import struct
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar, Sample

from csm.serving.metrics.native import ZERO_THRESHOLD, Labels, NativeBuckets

MEDIA_TYPE = "application/vnd.google.protobuf"
MESSAGE = "io.prometheus.client.MetricFamily"
CONTENT_TYPE = f"{MEDIA_TYPE}; proto={MESSAGE}; encoding=delimited"

_COUNTER, _GAUGE, _UNTYPED, _HISTOGRAM = 0, 1, 3, 4
_KINDS = {"counter": _COUNTER, "gauge": _GAUGE, "histogram": _HISTOGRAM}
_VALUE_FIELDS = {_GAUGE: 2, _COUNTER: 3, _UNTYPED: 5}


def is_preferred(accept: str) -> bool:
    """Whether a scraper with this `Accept` wants protobuf before everything else."""
    ours, others = 0.0, 0.0
    for part in accept.split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        given = dict(piece.split("=", 1) for piece in parameters if "=" in piece)
        try:
            quality = float(given.get("q", "1"))
        except ValueError:
            quality = 0.0
        delimited = given.get("proto") == MESSAGE and given.get("encoding") == "delimited"
        if media == MEDIA_TYPE and delimited:
            ours = max(ours, quality)
        else:
            others = max(others, quality)
    return ours > 0 and ours >= others


def encode(registry: CollectorRegistry) -> bytes:
    """All families of a registry."""
    families = (_family(family) for family in registry.collect())
    return b"".join(_varint(len(body)) + body for body in families)


def _family(family: Metric) -> bytes:
    kind = _KINDS.get(family.type, _UNTYPED)
    name = family.name + ("_total" if kind == _COUNTER else "")
    body = _text(1, name) + _text(2, family.documentation) + _uint(3, kind)
    if kind == _HISTOGRAM:
        return body + b"".join(_message(4, one) for one in _histograms(family))
    for sample in family.samples:
        value = _message(_VALUE_FIELDS[kind], _double(1, sample.value))
        body += _message(4, _labels(sample.labels.items()) + value)
    return body


def _histograms(family: Metric) -> Iterable[bytes]:
    series: dict[Labels, list[Sample]] = {}
    for sample in family.samples:
        labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        series.setdefault(labels, []).append(sample)
    native: dict[Labels, NativeBuckets] = getattr(family, "native", {})
    for labels, samples in series.items():
        yield _labels(labels) + _message(7, _histogram(samples, native.get(labels)))


def _histogram(samples: list[Sample], native: NativeBuckets | None) -> bytes:
    body = b""
    for sample in samples:
        if sample.name.endswith("_bucket"):
            bound = float(sample.labels["le"])
            bucket = _uint(1, int(sample.value)) + _double(2, bound)
            body += _message(3, bucket + _exemplar(sample.exemplar))
        # A scraper refuses native buckets that are fewer than the count beside them.
        elif native is None and sample.name.endswith("_count"):
            body += _uint(1, int(sample.value))
        elif native is None and sample.name.endswith("_sum"):
            body += _double(2, sample.value)
    if native is not None:
        body += _uint(1, native.count) + _double(2, native.total) + _sint(5, native.schema)
        body += _double(6, ZERO_THRESHOLD) + _uint(7, native.zero_count)
        for offset, length in native.spans():
            body += _message(12, _sint(1, offset) + _uint(2, length))
        for delta in native.deltas():
            body += _sint(13, delta)
    return body


def _exemplar(given: Exemplar | None) -> bytes:
    """A value of the bucket, and the trace in which it was measured."""
    if given is None:
        return b""
    body = _labels(given.labels.items()) + _double(2, given.value)
    if given.timestamp is not None:
        seconds, rest = divmod(float(given.timestamp), 1)
        body += _message(3, _uint(1, int(seconds)) + _uint(2, int(rest * 1e9)))
    return _message(3, body)


def _labels(labels: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(_message(1, _text(1, name) + _text(2, value)) for name, value in labels)


# --- the wire format of protobuf: a field's number and kind, then its value ---

_VARINT, _FIXED64, _LENGTH = 0, 1, 2


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _uint(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _sint(field: int, value: int) -> bytes:
    # Zigzag: small numbers of either sign are short.
    return _uint(field, value << 1 if value >= 0 else (-value << 1) - 1)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | _FIXED64) + struct.pack("<d", value)


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | _LENGTH) + _varint(len(body)) + body


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())
