"""TLS between the gateway and the two services, and files that change under it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from csm import errors
from csm.cli.certificates import make_authority, make_client, make_server
from csm.serving.tls import server as tls
from csm.v1 import speech_pb2
from gateway.backends.backend_tls import BackendTls
from gateway.settings import GatewaySettings
from tests.certificates import HOSTS, Certificates
from tests.gateway.fakes import Stack


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


@pytest.fixture
async def behind(files: Certificates, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """A stack that is not up yet; its services want certificates of their clients."""
    monkeypatch.setattr(tls, "LOOK_S", 0.0)
    stack = Stack()
    for fake in (stack.generator, stack.tokenizer):
        fake.settings = files.settings(mutual=True)
    yield stack
    await stack.down()


def towards(files: Certificates) -> dict[str, Path]:
    return {
        "backend_ca": files.ca,
        "backend_certificate": files.client,
        "backend_key": files.client_key,
    }


async def spoken(stack: Stack) -> bytes:
    call = stack.stub.Synthesize(speech_pb2.SynthesizeRequest(text="Hi."), timeout=10)
    return b"".join([answer.audio.audio async for answer in call])


async def renewed(files: Certificates) -> None:
    """Everything of another authority."""
    files.authority = make_authority("another")
    pair = make_server(files.authority, "second", HOSTS, 30)
    pair.write(files.certificate, files.key)
    make_client(files.authority, "second", 30).write(files.client, files.client_key)
    files.ca.write_bytes(files.authority.certificate_pem())


async def test_the_gateway_speaks_through_services_with_mutual_tls(
    behind: Stack, files: Certificates
) -> None:
    await behind.up(**towards(files))
    assert await spoken(behind)
    labels = {"grpc_service": "csm.v1.SpeechService", "certificate": "client"}
    assert behind.sample("csm_tls_certificate_expiry_timestamp_seconds", **labels) > 0


async def test_new_files_are_used_without_a_restart_and_what_runs_goes_on(
    behind: Stack, files: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.backends")
    await behind.up(**towards(files))
    backends = behind.service.backends
    before = backends.generator
    behind.generator.mute.clear()
    speaking = asyncio.create_task(spoken(behind))
    while not behind.generator.streams:
        await asyncio.sleep(0.01)
    await renewed(files)
    async with asyncio.timeout(10):
        while backends.generator is before or "tokenizer at" not in caplog.text:
            await asyncio.sleep(0.02)
    # The turn that began over the old channel ends there.
    behind.generator.mute.set()
    assert await asyncio.wait_for(speaking, 10)
    # A service that comes back takes only certificates of the new authority, and has one of it.
    for fake in (behind.generator, behind.tokenizer):
        await fake.down()
        await fake.up()
    async with asyncio.timeout(10):
        while not backends.ready():
            await asyncio.sleep(0.02)
    assert await spoken(behind)


async def test_broken_new_files_change_nothing_and_are_told_once(
    behind: Stack, files: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    await behind.up(**towards(files))
    before = behind.service.backends.generator
    files.client_key.write_text("half of it")
    await asyncio.sleep(0.8)  # several looks
    assert behind.service.backends.generator is before
    assert await spoken(behind)
    told = [r for r in caplog.records if "the old ones stay" in r.getMessage()]
    assert len(told) == 1
    assert "backend_key" in told[0].getMessage()


async def test_services_of_another_authority_are_not_trusted_and_the_log_says_so(
    behind: Stack, files: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strangers = Certificates(tmp_path / "strangers")
    starting = asyncio.create_task(behind.up(**towards(strangers)))
    async with asyncio.timeout(10):
        while "CERTIFICATE_VERIFY_FAILED" not in caplog.text:
            await asyncio.sleep(0.02)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("backend_certificate", "backend_key"), "backend_ca: is needed with backend_certificate"),
        (("backend_ca", "backend_certificate"), "backend_key: is needed with backend_certificate"),
        (("backend_ca", "backend_key"), "backend_certificate: is needed with backend_key"),
    ],
)
def test_half_of_the_settings_is_refused_and_named(
    files: Certificates, given: tuple[str, ...], told: str
) -> None:
    all_of_it = towards(files)
    settings = GatewaySettings(**{name: all_of_it[name] for name in given})
    with pytest.raises(errors.InvalidArgument, match=told):
        BackendTls(settings)
    assert BackendTls(GatewaySettings()).current is None
