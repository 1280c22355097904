"""A collector for tests: takes spans by OTLP over gRPC, and has them as trees."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True)
class GotSpan:
    """A span as it came."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    failed: bool
    message: str
    resource: dict[str, Any]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Listens on a port of its own until it is closed."""

    def __init__(self, port: int = 0) -> None:
        self.spans: list[GotSpan] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def Export(self, request: Any, context: Any) -> Any:
        for resource_spans in request.resource_spans:
            resource = _plain(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                self.spans += (_got(span, resource) for span in scope_spans.spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    def close(self) -> None:
        self._server.stop(0).wait()

    def trees(self) -> list["Tree"]:
        """All spans, each below the one that it hangs from, in order of time."""
        known = {span.span_id for span in self.spans}
        return [self._tree(span) for span in self.spans if span.parent_id not in known]

    def _tree(self, span: GotSpan) -> "Tree":
        below = [one for one in self.spans if one.parent_id == span.span_id]
        ordered = sorted(below, key=lambda one: (one.began_ns, one.name))
        return Tree(span, [self._tree(one) for one in ordered])


@dataclass(frozen=True)
class Tree:
    """A span, and those that hang from it."""

    span: GotSpan
    below: list["Tree"]

    def __iter__(self) -> Iterator[GotSpan]:
        yield self.span
        for one in self.below:
            yield from one

    def named(self, *path: str) -> "Tree":
        """The only one at that path of names below this one."""
        if not path:
            return self
        (one,) = [tree for tree in self.below if tree.span.name == path[0]]
        return one.named(*path[1:])

    def names(self) -> list[str]:
        """Of those right below."""
        return [tree.span.name for tree in self.below]

    def drawn(self, since_ns: int | None = None, depth: int = 0) -> Iterator[str]:
        """Lines of text: when each began and how long it took, in milliseconds."""
        span = self.span
        since = span.began_ns if since_ns is None else since_ns
        began, took = (span.began_ns - since) / 1e6, (span.ended_ns - span.began_ns) / 1e6
        told = " ".join(
            f"{name.removeprefix('csm.')}={value}"
            for name, value in span.attributes.items()
            if name.startswith("csm.") and name not in ("csm.request_id", "csm.turn_id")
        )
        place = f"{'  ' * depth}{span.name}"
        yield f"{began:8.1f} {took:8.1f}  {place:<52} {span.service:<14} {told}".rstrip()
        for one in self.below:
            yield from one.drawn(since, depth + 1)


def _got(span: Any, resource: dict[str, Any]) -> GotSpan:
    return GotSpan(
        resource["service.name"],
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _plain(span.attributes),
        span.status.code == 2,
        span.status.message,
        resource,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
