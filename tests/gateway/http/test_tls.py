"""HTTP and WebSocket over TLS: the certificate of the gRPC port, read again where it changes."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import websockets

from csm.cli.certificates import make_authority, make_client
from csm.serving.rpc import server as grpc_server
from csm.serving.tls import server as tls
from gateway.http import server
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


async def test_a_new_authority_for_clients_is_taken_and_the_old_one_forgotten(
    served: Stack, files: Certificates
) -> None:
    url = f"https://localhost:{port_of(served)}"
    old = files.context()
    other = make_authority("other")
    files.ca.write_bytes(other.certificate_pem())
    async with httpx.AsyncClient(base_url=url, verify=old) as client:
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            await speak(client)
    make_client(other, "of the other", 1).write(files.client, files.client_key)
    new = ssl.create_default_context(cadata=files.authority.certificate_pem().decode())
    new.load_cert_chain(files.client, files.client_key)
    async with httpx.AsyncClient(base_url=url, verify=new) as client:
        assert (await speak(client)).status_code == 200


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


async def test_connections_that_never_finish_their_handshake_are_few_and_end(
    files: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (grpc_server, server):
        monkeypatch.setattr(module, "HANDSHAKE_S", 2.0)
    async with stack(http_port=0, http_max_connections=4, **files.settings()) as one:
        for port, kept in ((port_of(one), 8), (one.host.port, 20)):
            opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
            reads = [asyncio.create_task(reader.read(1)) for reader, _ in opened]
            await asyncio.sleep(0.2)
            assert sum(read.done() for read in reads) == 20 - kept
            async with asyncio.timeout(10):
                await asyncio.gather(*reads, return_exceptions=True)
            for _, writer in opened:
                writer.close()
            alpn = "h2" if port == one.host.port else "http/1.1"
            assert await asyncio.to_thread(files.seen, port, alpn) == "first"


@NEEDS_SSLSCAN
async def test_a_scanner_finds_tls_1_2_and_1_3_and_nothing_older(
    served: Stack, files: Certificates
) -> None:
    assert await asyncio.to_thread(scan, port_of(served), files) == {"TLSv1.2", "TLSv1.3"}
