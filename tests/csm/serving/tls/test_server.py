"""TLS of a service's ports: what is refused at start, who may connect, and files that change."""

import asyncio
import logging
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from csm import errors
from csm.cli.certificates import make_authority, make_client, make_server
from csm.serving.bootstrap import expose_metrics
from csm.serving.process.endpoint import Endpoint
from csm.serving.settings import ServiceSettings
from csm.serving.tls.server import ServerTls
from csm.v1 import generator_pb2, generator_pb2_grpc
from tests.certificates import HOSTS, NEEDS_SSLSCAN, Certificates, scan
from tests.csm.serving.running import NAME, Running

CUT_OFF = (urllib.error.URLError, ssl.SSLError, ConnectionError)


@pytest.fixture
async def running(files: Certificates) -> AsyncIterator[Callable]:
    """Starts a host with settings, and ends it behind the test."""
    started: list[Running] = []

    async def start(**settings: object) -> Running:
        one = Running(**settings)
        started.append(one)
        return await (await one.listening()).ready()

    yield start
    for one in started:
        await one.channel.close()
        await one.host.stop(finish_s=0)


def channel_to(
    one: Running, files: Certificates, *, shows: bool = True, ca: bytes | None = None
) -> grpc.aio.Channel:
    shown = (files.client_key.read_bytes(), files.client.read_bytes()) if shows else ()
    credentials = grpc.ssl_channel_credentials(ca or files.ca.read_bytes(), *shown)
    return grpc.aio.secure_channel(f"localhost:{one.host.port}", credentials)


async def model_of(channel: grpc.aio.Channel) -> str:
    stub = generator_pb2_grpc.GeneratorServiceStub(channel)
    answer = await stub.GetModelInfo(generator_pb2.GetModelInfoRequest(), timeout=5)
    return str(answer.model)


def refused(**settings: object) -> str:
    with pytest.raises(errors.InvalidArgument) as caught:
        ServerTls.of(ServiceSettings(**settings))
    return str(caught.value)


def test_without_a_certificate_there_is_plaintext(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ServerTls.of(ServiceSettings()) is None
    assert ServerTls.of(ServiceSettings(tls_certificate="", tls_key="none")) is None


def test_what_is_missing_is_named(files: Certificates) -> None:
    assert refused(tls_certificate=files.certificate).startswith("tls_key: is needed with tls_cert")
    assert refused(tls_key=files.key).startswith("tls_certificate: is needed with tls_key")
    assert refused(tls_client_ca=files.ca).startswith("tls_client_ca: needs tls_certificate")
    assert refused(metrics_tls=True).startswith("metrics_tls: needs tls_certificate")


def test_a_file_that_cannot_be_used_is_named_with_its_setting_and_what_is_wrong(
    files: Certificates,
) -> None:
    usual = files.settings(mutual=True)
    broken, nothing = files.folder / "broken.pem", files.folder / "nothing.pem"

    def told(setting: str, path: Path) -> str:
        message = refused(**{**usual, setting: path})
        assert message.startswith(f"{setting}: {path} "), message
        return message

    for setting in usual:
        assert "cannot be read: No such file" in told(setting, nothing)
        broken.write_text("hello")
        assert "is no PEM file" in told(setting, broken)
        given = usual[setting].read_text().splitlines()
        broken.write_text("\n".join([*given[:2], given[-1]]) + "\n")
        assert "broken or cut off" in told(setting, broken)
    assert "holds a private key" in told("tls_certificate", files.key)
    assert f"is not the key of the certificate in {files.certificate}" in told(
        "tls_key", files.client_key
    )
    make_server(files.authority, "old", HOSTS, -0.001).write(broken, nothing)
    assert "has expired" in refused(tls_certificate=broken, tls_key=nothing)
    encrypted = files.folder / "encrypted.pem"
    encrypted.write_bytes(_encrypted(files))
    assert "is encrypted" in told("tls_key", encrypted)


def _encrypted(files: Certificates) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_pem_private_key(files.key.read_bytes(), None)
    return key.private_bytes(
        s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret")
    )


async def test_a_port_with_tls_takes_those_who_trust_it_and_no_plaintext(
    files: Certificates, running: Callable
) -> None:
    one = await running(**files.settings())
    async with channel_to(one, files, shows=False) as channel:
        assert await model_of(channel) == "m"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await model_of(one.channel)  # plaintext
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_mutual_tls_takes_only_clients_of_its_authority(
    files: Certificates, running: Callable, tmp_path: Path
) -> None:
    one = await running(**files.settings(mutual=True))
    async with channel_to(one, files) as channel:
        assert await model_of(channel) == "m"
    stranger = Certificates(tmp_path / "strangers")
    ours = files.ca.read_bytes()
    for shows, who in ((False, files), (True, stranger)):
        async with channel_to(one, who, shows=shows, ca=ours) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await model_of(channel)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_health_port_answers_in_plaintext_and_nothing_but_health(
    files: Certificates, running: Callable
) -> None:
    one = await running(**files.settings(mutual=True), health_port=0)
    address = f"127.0.0.1:{one.host.health_port}"
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        for call in (
            generator_pb2_grpc.GeneratorServiceStub(channel).GetModelInfo(
                generator_pb2.GetModelInfoRequest(), timeout=5
            ),
            channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")(
                iter(()), timeout=5
            ).read(),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_health_port_that_is_taken_keeps_the_host_from_starting(
    files: Certificates,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one = Running(**files.settings(), health_port=port)
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            await one.starting
    # Its gRPC port is free again.
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", one.host.port)


async def test_a_new_certificate_is_served_to_new_connections_and_old_ones_go_on(
    files: Certificates, running: Callable
) -> None:
    one = await running(**files.settings(mutual=True))
    async with channel_to(one, files) as channel:
        stream = generator_pb2_grpc.GeneratorServiceStub(channel).Generate()
        await stream.write(generator_pb2.GenerateRequest())
        assert await stream.read() is not grpc.aio.EOF
        assert await asyncio.to_thread(files.seen, one.host.port) == "first"
        files.renew("second")
        assert await asyncio.to_thread(files.seen, one.host.port) == "second"
        # The call that began before goes on, and its connection takes new ones.
        assert await stream.read() is not grpc.aio.EOF
        assert await model_of(channel) == "m"
        stream.cancel()
    async with channel_to(one, files) as channel:
        assert await model_of(channel) == "m"


async def test_the_link_that_kubernetes_swaps_is_followed(
    tmp_path: Path, running: Callable
) -> None:
    old, new = Certificates(tmp_path / "..1"), Certificates(tmp_path / "..2")
    new.renew("second")
    # A Secret's volume: files that point into `..data`, which is swapped in one go. All times and
    # sizes may be alike.
    (tmp_path / "..data").symlink_to("..1")
    mounted = {
        "tls_certificate": tmp_path / "server.pem",
        "tls_key": tmp_path / "server-key.pem",
    }
    for path in mounted.values():
        path.symlink_to(Path("..data") / path.name)
    for one in (old, new):
        for path in one.folder.iterdir():
            os.utime(path, (1, 1))
    running_host = await running(**mounted)
    assert await asyncio.to_thread(old.seen, running_host.host.port) == "first"
    (tmp_path / "..new").symlink_to("..2")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    assert await asyncio.to_thread(new.seen, running_host.host.port) == "second"


async def test_a_new_authority_for_clients_is_taken_and_the_old_one_forgotten(
    files: Certificates, running: Callable, tmp_path: Path
) -> None:
    one = await running(**files.settings(mutual=True))
    async with channel_to(one, files) as channel:
        assert await model_of(channel) == "m"
    other = make_authority("other")
    other.write(files.folder / "other.pem", files.folder / "other-key.pem")
    trusted = files.ca.read_bytes()
    os.replace(files.folder / "other.pem", files.ca)
    async with channel_to(one, files, ca=trusted) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await model_of(channel)
    make_client(other, "of the other", 1).write(files.client, files.client_key)
    async with channel_to(one, files, ca=trusted) as channel:
        assert await model_of(channel) == "m"


async def test_a_half_written_or_broken_pair_keeps_the_old_one_and_is_told_once(
    files: Certificates, running: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    one = await running(**files.settings())
    caplog.set_level(logging.INFO, "csm.serving.tls.server")
    second = make_server(files.authority, "second", HOSTS, 1)
    files.certificate.write_bytes(second.certificate_pem())  # the key is still the first's
    for _ in range(3):
        assert await asyncio.to_thread(files.seen, one.host.port) == "first"
    assert len(caplog.records) == 1
    assert "is not the key of the certificate" in caplog.text
    files.certificate.write_bytes(second.certificate_pem()[:200])
    assert await asyncio.to_thread(files.seen, one.host.port) == "first"
    files.certificate.unlink()
    assert await asyncio.to_thread(files.seen, one.host.port) == "first"
    second.write(files.certificate, files.key)
    assert await asyncio.to_thread(files.seen, one.host.port) == "second"
    assert caplog.records[-1].levelname == "INFO"
    assert "new TLS files are in force" in caplog.records[-1].getMessage()
    assert "PRIVATE" not in caplog.text


async def test_the_watch_takes_a_new_certificate_though_nobody_connects(
    files: Certificates, running: Callable
) -> None:
    one = await running(**files.settings())

    def expires() -> float:
        value = one.metrics.registry.get_sample_value(
            "csm_tls_certificate_expiry_timestamp_seconds",
            {"grpc_service": NAME, "certificate": "server"},
        )
        assert value is not None
        return value

    before = expires()
    files.renew("longer", days=30)
    for _ in range(100):
        if expires() > before + 28 * 86_400:
            break
        await asyncio.sleep(0.05)
    assert 28.9 * 86_400 < expires() - before < 29.1 * 86_400


def test_metrics_are_served_over_tls_with_the_newest_certificate(files: Certificates) -> None:
    served = ServerTls.of(ServiceSettings(**files.settings(mutual=True), metrics_tls=True))
    assert served is not None
    endpoint = _endpoint(served)
    try:
        url = f"https://localhost:{endpoint.port}/metrics"
        with urllib.request.urlopen(url, timeout=5, context=files.context()) as answer:
            assert b"csm_build_info" in answer.read()
        with pytest.raises(CUT_OFF):
            urllib.request.urlopen(url, timeout=5, context=files.context(shows=False)).read()
        with pytest.raises(CUT_OFF):
            urllib.request.urlopen(url.replace("https", "http"), timeout=5).read()
        assert files.seen(endpoint.port, "http/1.1") == "first"
        files.renew("second")
        assert files.seen(endpoint.port, "http/1.1") == "second"
    finally:
        endpoint.close()


def test_more_connections_than_allowed_are_cut(files: Certificates) -> None:
    served = ServerTls.of(ServiceSettings(**files.settings()))
    assert served is not None
    context = served.context(2)
    held = [context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True) for _ in range(2)]
    with pytest.raises(ssl.SSLError, match="as many as allowed"):
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    held.pop()
    context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)


@NEEDS_SSLSCAN
@pytest.mark.parametrize("mutual", [False, True])
async def test_a_scanner_finds_tls_1_2_and_1_3_and_nothing_older(
    files: Certificates, running: Callable, mutual: bool
) -> None:
    one = await running(**files.settings(mutual=mutual))
    assert one.host.tls is not None
    endpoint = _endpoint(one.host.tls)
    try:
        for port in (one.host.port, endpoint.port):
            assert await asyncio.to_thread(scan, port, files) == {"TLSv1.2", "TLSv1.3"}
    finally:
        endpoint.close()


def _endpoint(served: ServerTls) -> Endpoint:
    from csm.serving.metrics import Metrics

    endpoint = expose_metrics(Metrics(), "127.0.0.1", 0, served)
    assert endpoint is not None
    return endpoint
