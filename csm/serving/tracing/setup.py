"""Whether a service makes spans, and where they go. OpenTelemetry is imported where it does."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import csm
from csm import errors
from csm.serving.calls.record import CallObserver
from csm.serving.metrics import ServerMetrics
from csm.serving.settings import ServiceSettings

if TYPE_CHECKING:
    from csm.serving.tracing.export import SpanQueue

NAMES = {
    "csm.v1.SpeechService": "csm-gateway",
    "csm.v1.GeneratorService": "csm-generator",
    "csm.v1.TokenizerService": "csm-tokenizer",
}
"""`service.name` of each; `OTEL_SERVICE_NAME` wins."""
SCOPE = "csm"
FLUSH_S = 2.0
"""How long a service that ends waits for the collector to take what is left."""


class Tracing:
    """The spans of one service, and their way to the collector; without arguments there are
    none."""

    def __init__(
        self, observers: Sequence[CallObserver] = (), queue: "SpanQueue | None" = None
    ) -> None:
        self.observers = observers
        """To be told of calls: what makes spans of them."""
        self._queue = queue

    async def close(self) -> None:
        """Sends what is left, within a bounded time. Idempotent."""
        queue, self._queue = self._queue, None
        if queue is not None:
            await queue.close()


def check_tracing(settings: ServiceSettings) -> None:
    """Raises `FailedPrecondition` where there are to be spans and OpenTelemetry is not installed.

    `open_tracing` does too, for one service; this is for whoever loads others before it.
    """
    if not settings.tracing_endpoint:
        return
    try:
        import opentelemetry.sdk.resources  # noqa: F401

        import csm.serving.tracing.export
        import csm.serving.tracing.spans  # noqa: F401
    except ImportError as error:
        raise errors.FailedPrecondition(
            f"tracing_endpoint: needs {error.name}, which is not installed: "
            "pip install 'csm-server[tracing]'"
        ) from None


def open_tracing(settings: ServiceSettings, service_name: str, metrics: ServerMetrics) -> Tracing:
    """As the settings say.

    Raises `FailedPrecondition` where there are to be spans and OpenTelemetry is not installed.
    """
    if not settings.tracing_endpoint:
        return Tracing()
    check_tracing(settings)
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    from csm.serving.tracing.export import SpanQueue, otlp
    from csm.serving.tracing.spans import Spans

    named = {
        "service.name": NAMES.get(service_name, service_name),
        "service.version": csm.__version__,
    }
    # What the environment says wins: merged last.
    resource = Resource.create(named).merge(OTELResourceDetector().detect())
    queue = SpanQueue(otlp(settings.tracing_endpoint), metrics.trace_spans)
    provider = TracerProvider(
        ParentBasedTraceIdRatio(settings.tracing_sample_ratio), resource, shutdown_on_exit=False
    )
    provider.add_span_processor(queue)
    return Tracing((Spans(provider.get_tracer(SCOPE, csm.__version__)),), queue)
