"""A real Prometheus that is told to take native histograms gets them, and finer quantiles."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from csm.serving.metrics import GatewayMetrics, Metrics
from csm.serving.process.endpoint import Endpoint
from tests.system.monitored import Prometheus, until

pytestmark = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="needs Debian's prometheus package"
)

NAME = "csm_gateway_time_to_first_audio_seconds"


@pytest.fixture
def port() -> Iterator[int]:
    """Of a gateway's metrics, whose turns have their first audio after 240 to 260 ms."""
    metrics = Metrics()
    first = GatewayMetrics(metrics.registry).time_to_first_audio_seconds.labels("Converse")
    endpoint = Endpoint(metrics, "127.0.0.1", 0)
    ending = threading.Event()

    def speak() -> None:
        while not ending.wait(0.02):
            for late in (0.24, 0.25, 0.26):
                first.observe(late)

    thread = threading.Thread(target=speak)
    thread.start()
    yield endpoint.port
    ending.set()
    thread.join()
    endpoint.close()


def test_native_histograms_are_taken_where_prometheus_is_told_to(tmp_path: Path, port: int) -> None:
    flag = "--enable-feature=native-histograms"
    prometheus = Prometheus(tmp_path, {"gateway": port}, flag)
    try:
        rate = f'sum(rate({NAME}{{rpc="Converse"}}[1m]))'
        query = f"histogram_quantile(0.5, {rate})"
        assert until(lambda: bool(prometheus.values(query)), 15)
        (median,) = prometheus.values(query)
        # Fixed buckets say no more than 0.2 to 0.3.
        assert 0.24 <= median <= 0.262
        (count,) = prometheus.values(f"histogram_count({rate})")
        assert count > 0.1
        (within,) = prometheus.values(f"histogram_fraction(0, 0.5, {rate})")
        assert within == 1
        (up,) = prometheus.values("up")
        assert up == 1
    finally:
        prometheus.close()


def test_a_prometheus_that_is_not_gets_fixed_buckets(tmp_path: Path, port: int) -> None:
    prometheus = Prometheus(tmp_path, {"gateway": port})
    try:
        query = f'sum(rate({NAME}_bucket{{le="0.5",rpc="Converse"}}[1m]))'
        assert until(lambda: bool(prometheus.values(query)), 15)
        assert not prometheus.values(NAME)
    finally:
        prometheus.close()
