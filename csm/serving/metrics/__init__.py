"""Every metric of every service: name, help, labels.

Nothing else in the project creates a metric. Base units, bounded labels (never an id, a text or
an address); `buckets` says why each histogram has its own. `docs/metrics.md` is the reader's view.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from csm.serving.health import State
from csm.serving.metrics.gateway import GatewayMetrics
from csm.serving.metrics.generator import GeneratorMetrics
from csm.serving.metrics.http import HttpMetrics
from csm.serving.metrics.server import ServerMetrics
from csm.serving.metrics.tenants import TenantMetrics
from csm.serving.metrics.tokenizer import TokenizerMetrics

__all__ = [
    "GatewayMetrics",
    "GeneratorMetrics",
    "HttpMetrics",
    "Metrics",
    "ServerMetrics",
    "TenantMetrics",
    "TokenizerMetrics",
]

# A `_created` series beside each counter and histogram is a third of all series, and unused.
disable_created_metrics()


class Metrics:
    """Creates metrics on one registry. In one process with several services, share it."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.server = ServerMetrics(self.registry)
        self.states: dict[str, Callable[[], State]] = {}
        """What each service of the process is now, by name; `/healthz` and `/readyz` ask all."""
        self.memory_bytes: dict[str, int] = {}
        """What the services of the process can cost, by part; see `csm.serving.process.memory`."""

    def expect(self, service_name: str) -> None:
        """The process is not ready before this service has started too."""
        self.states.setdefault(service_name, lambda: State(True, "has not started yet"))

    def follow(
        self, service_name: str, state: Callable[[], State], draining: Callable[[], bool]
    ) -> None:
        """Exports a service's readiness as it is at each scrape. Scrapes ask from their thread."""
        self.states[service_name] = state
        self.server.ready.labels(service_name).set_function(lambda: float(state().ready))
        self.server.draining.labels(service_name).set_function(lambda: float(draining()))
        # A rate starts from zero.
        self.server.server_restarts.labels(service_name)

    def with_process(self) -> "Metrics":
        """Adds the process's own figures (resident memory, open files, CPU seconds)."""
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        return self
