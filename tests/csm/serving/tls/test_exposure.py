"""A service that others may reach without identity or TLS says so, unless that is meant."""

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from csm.serving.bootstrap import expose_metrics
from csm.serving.settings import ServiceSettings
from csm.serving.tls.exposure import exposure, is_loopback
from tests.csm.serving.running import Running

FILE = Path("there")
TLS: dict[str, Any] = {"tls_certificate": FILE, "tls_key": FILE}
TOKENS: dict[str, Any] = {"auth_tokens_file": FILE}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "without identity (auth_tokens_file) and TLS (tls_certificate): whoever reaches it"),
        (TLS, "without identity (auth_tokens_file): whoever reaches it may use it"),
        (TOKENS, "without TLS (tls_certificate): what is sent can be read on the way"),
        ({"auth_jwt_issuer": "a"}, "without TLS (tls_certificate)"),
        (TLS | TOKENS, ""),
        # Mutual TLS lets nobody in who has no certificate.
        (TLS | {"tls_client_ca": FILE}, ""),
        ({"allow_insecure": True}, ""),
    ],
)
def test_what_is_lacking_is_named(settings: dict[str, Any], told: str) -> None:
    found = exposure(ServiceSettings(host="0.0.0.0", **settings))
    assert told in found
    assert bool(found) == bool(told)
    assert not exposure(ServiceSettings(host="127.0.0.1", **settings))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("[::1]", True),
        ("localhost", True), ("0.0.0.0", False), ("::", False), ("[::]", False),
        ("10.0.0.1", False), ("csm.example", False),
    ],
)  # fmt: skip
def test_loopback_is_known(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


@pytest.mark.parametrize("meant", [False, True])
async def test_it_is_said_at_the_start_and_to_who_asks_whether_it_is_ready(
    meant: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="csm"):
        running = await (await Running(host="0.0.0.0", allow_insecure=meant).listening()).ready()
    endpoint = expose_metrics(running.metrics, "127.0.0.1", 0)
    assert endpoint is not None
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{endpoint.port}/readyz")
    assert answer.status_code == 200
    lines = answer.text.splitlines()
    told = [line for line in caplog.text.splitlines() if "beyond this machine" in line]
    assert len(told) == (0 if meant else 1)
    assert lines[0] == "ready"
    assert len(lines) == (1 if meant else 2)
    if not meant:
        assert lines[1].startswith("csm.v1.GeneratorService: warning: listens on 0.0.0.0")
    endpoint.close()
    await running.channel.close()
    await running.host.stop(finish_s=0)
