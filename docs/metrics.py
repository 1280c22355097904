"""Writes docs/metrics.md from csm/serving/metrics/: `make docs`. A test keeps it fresh."""

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import Histogram, MetricWrapperBase

from csm.serving.metrics import (
    GatewayMetrics,
    GeneratorMetrics,
    HttpMetrics,
    ServerMetrics,
    TenantMetrics,
    TokenizerMetrics,
)

INTRODUCTION = """\
# Metrics

Made from `csm/serving/metrics/` by `make docs`; `buckets.py` there says why each histogram has its
buckets. Each service serves its own on `http://HOST:PORT/metrics` (gateway 9464, tokenizer 9465,
generator 9466; `csm serve` all of them on 9464), beside the process's own (`process_*`).

Alerts, the dashboard and native histograms: [monitoring.md](monitoring.md).

Base units (seconds, bytes, ratios), bounded labels: never an id, a text or an address.

What to look at first:

| question | PromQL |
|---|---|
| how long until speech starts | `histogram_quantile(0.95, sum by (le, rpc) (rate(csm_gateway_time_to_first_audio_seconds_bucket[5m])))` |
| does speech ever stall | `1 - sum(rate(csm_gateway_audio_underrun_seconds_bucket{le="0.02"}[5m])) / sum(rate(csm_gateway_audio_underrun_seconds_count[5m]))` |
| are we faster than real time | `histogram_quantile(0.95, sum by (le) (rate(csm_gateway_real_time_factor_bucket[5m])))` |
| is there room | `csm_generator_requests_running / csm_generator_slots`, `csm_generator_requests_waiting` |
| is the cache worth it | `sum(rate(csm_generator_prefix_frames_total{source="reused"}[5m])) / sum(rate(csm_generator_prefix_frames_total[5m]))` |
| where does first audio's time go | `histogram_quantile(0.5, sum by (le, stage) (rate(csm_gateway_stage_duration_seconds_bucket[5m])))` |
| what fails | `sum by (grpc_service, grpc_method, grpc_code) (rate(grpc_server_handled_total{grpc_code!="OK"}[5m]))` |
"""

GROUPS = {
    "Every service": ServerMetrics,
    "Gateway": GatewayMetrics,
    "Gateway's tenants": TenantMetrics,
    "Gateway's HTTP": HttpMetrics,
    "Generator": GeneratorMetrics,
    "Tokenizer": TokenizerMetrics,
}


def row(metric: MetricWrapperBase) -> str:
    """One line of the table: name as scraped, type, labels, help, buckets."""
    kind = metric._type
    name = metric._name + ("_total" if kind == "counter" else "")
    labels = ", ".join(metric._labelnames) or "–"
    text = metric._documentation
    if isinstance(metric, Histogram):
        bounds = metric._kwargs["buckets"]
        text += f" Buckets: {' '.join(f'{b:g}' for b in bounds if b != float('inf'))}."
    return f"| `{name}` | {kind} | {labels} | {text} |"


def document() -> str:
    """The page, whole."""
    parts = [INTRODUCTION]
    for title, group in GROUPS.items():
        metrics = vars(group(CollectorRegistry())).values()
        rows = [row(m) for m in metrics if isinstance(m, MetricWrapperBase)]
        parts.append(
            "\n".join(
                [f"## {title}\n", "| name | type | labels | what |", "|---|---|---|---|", *rows]
            )
        )
    return "\n".join(p + "\n" for p in parts)


if __name__ == "__main__":
    print(document(), end="")
