"""What the gateway's HTTP side exports."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from csm.serving.metrics.buckets import FIRST_AUDIO_SECONDS, RPC_SECONDS, histogram


class HttpMetrics:
    """Requests by route; what is spoken counts among the gateway's turns too."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "csm_http_requests_total",
            "HTTP requests completed; route is a template, other for what there is none for.",
            ("route", "status"),
            registry=registry,
        )
        self.seconds = histogram(
            registry,
            "csm_http_request_duration_seconds",
            "Duration of HTTP requests, their answers included.",
            RPC_SECONDS,
            ("route",),
        )
        self.first_audio_seconds = histogram(
            registry,
            "csm_http_time_to_first_audio_seconds",
            "From a request to speak to the first bytes of its audio.",
            FIRST_AUDIO_SECONDS,
        )
        self.connections = Gauge(
            "csm_http_connections", "HTTP connections open, WebSockets included.", registry=registry
        )
        self.websockets = Gauge("csm_http_websockets", "WebSockets open.", registry=registry)
