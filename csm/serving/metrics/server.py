"""What every gRPC server of ours exports."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from csm.serving.metrics.buckets import LOOP_DELAY_SECONDS, RPC_SECONDS, histogram


class ServerMetrics:
    """What every gRPC server of ours exports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        method = ("grpc_service", "grpc_method", "grpc_type")
        self.started = Counter(
            "grpc_server_started_total", "RPCs started.", method, registry=registry
        )
        self.handled = Counter(
            "grpc_server_handled_total",
            "RPCs completed, by status.",
            (*method, "grpc_code"),
            registry=registry,
        )
        self.handling_seconds = histogram(
            registry, "grpc_server_handling_seconds", "Duration of RPCs.", RPC_SECONDS, method
        )
        self.received = Counter(
            "grpc_server_msg_received_total",
            "Messages received of streaming RPCs.",
            method,
            registry=registry,
        )
        self.sent = Counter(
            "grpc_server_msg_sent_total",
            "Messages sent by streaming RPCs.",
            method,
            registry=registry,
        )
        self.in_flight = Gauge(
            "csm_rpcs_in_flight", "RPCs under way.", ("grpc_service",), registry=registry
        )
        self.ready = Gauge(
            "csm_ready", "1 while the service takes calls.", ("grpc_service",), registry=registry
        )
        self.draining = Gauge(
            "csm_draining",
            "1 while the service finishes what runs.",
            ("grpc_service",),
            registry=registry,
        )
        self.server_restarts = Counter(
            "csm_server_restarts_total",
            "Times that the gRPC server ended unasked and a new one took its port.",
            ("grpc_service",),
            registry=registry,
        )
        self.watcher_restarts = Counter(
            "csm_watcher_restarts_total",
            "Times that a background task failed and was started again.",
            ("watcher",),
            registry=registry,
        )
        self.certificate_expiry = Gauge(
            "csm_tls_certificate_expiry_timestamp_seconds",
            "When the certificate in force expires, Unix time: server, of the service's ports; "
            "client, shown to the services behind it.",
            ("grpc_service", "certificate"),
            registry=registry,
        )
        self.loop_delay_seconds = histogram(
            registry,
            "csm_event_loop_delay_seconds",
            "How late the event loop woke from a short sleep.",
            LOOP_DELAY_SECONDS,
        )
        self.auth_refusals = Counter(
            "csm_auth_refusals_total",
            "Calls and requests refused for who makes them, by what is wrong with the credential.",
            ("reason",),
            registry=registry,
        )
        self.trace_spans = Counter(
            "csm_trace_spans_total",
            "Spans by what became of them: exported to the collector, or dropped.",
            ("result",),
            registry=registry,
        )
        self.build_info = Gauge(
            "csm_build_info", "Always 1; what is running.", ("version",), registry=registry
        )
