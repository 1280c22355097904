"""The health probe against a real health server."""

from concurrent import futures

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from csm.serving import probe
from tests.certificates import Certificates

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def server():  # type: ignore[no-untyped-def]
    """A health servicer and its address."""
    it = grpc.server(futures.ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, it)
    port = it.add_insecure_port("127.0.0.1:0")
    it.start()
    yield servicer, f"127.0.0.1:{port}"
    it.stop(None)


def test_a_serving_service_is_success(server) -> None:  # type: ignore[no-untyped-def]
    servicer, address = server
    servicer.set("csm.v1.TokenizerService", SERVING)
    assert probe.main([address, "csm.v1.TokenizerService"]) == 0


def test_the_question_is_readiness_and_liveness_only_when_it_is_asked(server, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    servicer, address = server

    def listed(request, context):  # type: ignore[no-untyped-def]
        names = ("", "csm.v1.TokenizerService")
        asked = {n: servicer.Check(health_pb2.HealthCheckRequest(service=n), None) for n in names}
        return health_pb2.HealthListResponse(statuses=asked)

    servicer.set("csm.v1.TokenizerService", NOT_SERVING)
    # What its server does not list cannot be asked for.
    assert probe.main([address]) == 0
    monkeypatch.setattr(probe.health_pb2_grpc, "HealthStub", with_list(listed))
    assert probe.main([address]) == 1
    assert probe.main([address, "--ready"]) == 1
    assert probe.main([address, "--live"]) == 0
    servicer.set("csm.v1.TokenizerService", SERVING)
    assert probe.main([address]) == 0
    servicer.set("", NOT_SERVING)
    assert probe.main([address]) == 1
    assert probe.main([address, "--live"]) == 1


def with_list(listed):  # type: ignore[no-untyped-def]
    """The stub, whose List is answered here: the servicer of the tests has none."""
    stub_of = health_pb2_grpc.HealthStub

    def make(channel):  # type: ignore[no-untyped-def]
        stub = stub_of(channel)
        stub.List = lambda request, timeout: listed(request, None)
        return stub

    return make


def test_a_service_that_is_not_ready_is_failure(server, capsys) -> None:  # type: ignore[no-untyped-def]
    servicer, address = server
    servicer.set("csm.v1.TokenizerService", NOT_SERVING)
    assert probe.main([address, "csm.v1.TokenizerService"]) == 1
    assert "NOT_SERVING" in capsys.readouterr().out


def test_an_unknown_service_is_failure_and_named(server, capsys) -> None:  # type: ignore[no-untyped-def]
    assert probe.main([server[1], "csm.v1.Nobody"]) == 1
    assert "NOT_FOUND" in capsys.readouterr().err


def test_nobody_there_is_failure_within_the_timeout(capsys) -> None:  # type: ignore[no-untyped-def]
    assert probe.main(["127.0.0.1:1"]) == 1
    assert "127.0.0.1:1: UNAVAILABLE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["localhost"], ["a:1", "b", "c"], ["a:1", "b", "--live"], ["a:1", "--alive"]]
)
def test_a_wrong_call_shows_the_usage(arguments: list[str], capsys) -> None:  # type: ignore[no-untyped-def]
    assert probe.main(arguments) == 2
    assert "usage" in capsys.readouterr().err


@pytest.fixture
def files(tmp_path):  # type: ignore[no-untyped-def]
    return Certificates(tmp_path)


@pytest.fixture
def secure_address(files):  # type: ignore[no-untyped-def]
    """Of a health servicer that wants certificates of its clients."""
    it = grpc.server(futures.ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    servicer.set("", SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, it)
    pair = (files.key.read_bytes(), files.certificate.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], files.ca.read_bytes(), True)
    port = it.add_secure_port("127.0.0.1:0", credentials)
    it.start()
    yield f"127.0.0.1:{port}"
    it.stop(None)


def test_a_port_with_tls_is_asked_with_the_files_given_or_those_of_the_environment(
    files,  # type: ignore[no-untyped-def]
    secure_address,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = ["--ca", str(files.ca), "--cert", str(files.client), "--key", str(files.client_key)]
    assert probe.main([secure_address, "--live", *said]) == 0
    assert probe.main([*said, secure_address]) == 0
    assert probe.main([secure_address]) == 1
    assert "--ca, CSM_CA" in capsys.readouterr().err
    for name, value in zip(("CA", "CERT", "KEY"), said[1::2], strict=True):
        monkeypatch.setenv(f"CSM_{name}", value)
    assert probe.main([secure_address]) == 0


def test_a_file_that_cannot_be_used_is_named_with_its_option(files, capsys) -> None:  # type: ignore[no-untyped-def]
    assert probe.main(["localhost:1", "--ca", str(files.key)]) == 2
    assert f"--ca: {files.key} holds a private key" in capsys.readouterr().err
    assert probe.main(["localhost:1", "--ca"]) == 2
    assert "--ca: " in capsys.readouterr().err
