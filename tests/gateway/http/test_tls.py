"""HTTP and WebSocket over TLS: the certificate of the gRPC port, read again where it changes."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import websockets

from csm.serving import tls
from tests.certificates import NEEDS_SSLSCAN, Certificates, scan
from tests.gateway.fakes import Stack, stack


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


@pytest.fixture
async def served(files: Certificates, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    monkeypatch.setattr(tls, "LOOK_S", 0.0)
    async with stack(http_port=0, **files.settings(mutual=True)) as one:
        yield one


def port_of(served: Stack) -> int:
    assert served.service.door is not None
    return served.service.door.port


async def speak(client: httpx.AsyncClient) -> httpx.Response:
    body = {"model": "csm", "input": "Hi.", "voice": "", "response_format": "pcm"}
    return await client.post("/v1/audio/speech", json=body)


async def test_speech_comes_over_https_and_not_without_it(
    served: Stack, files: Certificates
) -> None:
    url = f"https://localhost:{port_of(served)}"
    async with httpx.AsyncClient(base_url=url, verify=files.context()) as client:
        answer = await speak(client)
        assert answer.status_code == 200
        assert answer.content
    async with httpx.AsyncClient(base_url=url, verify=files.context(shows=False)) as client:
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            await speak(client)
    async with httpx.AsyncClient(base_url=url.replace("https", "http")) as client:
        with pytest.raises(httpx.TransportError):
            await speak(client)


async def test_a_conversation_goes_on_while_the_certificate_changes(
    served: Stack, files: Certificates
) -> None:
    port = port_of(served)
    url = f"wss://localhost:{port}/v1/conversations"
    async with websockets.connect(url, ssl=files.context()) as socket:
        assert await asyncio.to_thread(files.seen, port, "http/1.1") == "first"
        files.renew("second")
        assert await asyncio.to_thread(files.seen, port, "http/1.1") == "second"
        await socket.send(json.dumps({"type": "config"}))
        assert json.loads(await asyncio.wait_for(socket.recv(), 5))["type"] == "started"
    async with websockets.connect(url, ssl=files.context()) as socket:
        await socket.send(json.dumps({"type": "config"}))
        assert json.loads(await asyncio.wait_for(socket.recv(), 5))["type"] == "started"


@NEEDS_SSLSCAN
async def test_a_scanner_finds_tls_1_2_and_1_3_and_nothing_older(
    served: Stack, files: Certificates
) -> None:
    assert await asyncio.to_thread(scan, port_of(served), files) == {"TLSv1.2", "TLSv1.3"}
