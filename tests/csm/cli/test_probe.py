"""`csm probe` against a real health server."""

from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.csm.cli.conftest import Csm

SERVICE = "csm.v1.SpeechService"


@pytest.fixture
def server() -> Iterator[tuple[health.HealthServicer, str]]:
    """A health servicer, and its address."""
    it = grpc.server(futures.ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, it)
    port = it.add_insecure_port("127.0.0.1:0")
    it.start()
    yield servicer, f"127.0.0.1:{port}"
    it.stop(None)


def test_a_ready_service_is_success_and_another_is_not(
    csm: Csm, server: tuple[health.HealthServicer, str]
) -> None:
    servicer, address = server
    servicer.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    well = csm("probe", address, SERVICE)
    assert (well.exit_code, well.stdout) == (0, f"{address}: SERVING\n")
    servicer.set(SERVICE, health_pb2.HealthCheckResponse.NOT_SERVING)
    assert csm("probe", address, SERVICE).exit_code == 1
    assert csm("probe", address, "--live").exit_code == 0


def test_what_is_no_address_is_named(csm: Csm) -> None:
    wrong = csm("probe", "gateway")
    assert wrong.exit_code == 1
    assert "ADDRESS: 'gateway' is not allowed; host:port" in wrong.stderr


def test_liveness_is_asked_of_the_whole(csm: Csm) -> None:
    wrong = csm("probe", "127.0.0.1:1", SERVICE, "--live")
    assert wrong.exit_code == 1
    assert "--live" in wrong.stderr
