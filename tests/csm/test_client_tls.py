"""The SDK over TLS: what a user hears where the files, the server or the certificate do not fit."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from csm import errors
from csm.cli.certificates import make_authority, make_server
from csm.client import AsyncClient, AsyncTokenizerClient, Client, RetryPolicy, TokenizerClient
from csm.client.messages import TurnCompleted
from csm.client.renewal import MAX_REPLACED
from csm.client_tls import ClientTls
from csm.v1 import speech_pb2_grpc
from tests.certificates import HOSTS, Certificates
from tests.csm.fake_speech import CHUNK, FakeSpeech, serving

ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


async def serve(
    files: Certificates, mutual: bool, address: str = "127.0.0.1:0"
) -> tuple[grpc.aio.Server, str]:
    server = grpc.aio.server()
    speech_pb2_grpc.add_SpeechServiceServicer_to_server(FakeSpeech(), server)
    pair = (files.key.read_bytes(), files.certificate.read_bytes())
    authority = files.ca.read_bytes() if mutual else None
    credentials = grpc.ssl_server_credentials([pair], authority, mutual)
    port = server.add_secure_port(address, credentials)
    await server.start()
    return server, f"127.0.0.1:{port}"


@pytest.fixture
async def mutual(files: Certificates) -> AsyncIterator[str]:
    """The address of a server that wants certificates."""
    server, address = await serve(files, True)
    yield address
    await server.stop(0)


@pytest.fixture
async def one_sided(files: Certificates) -> AsyncIterator[str]:
    """The address of a server that wants none."""
    server, address = await serve(files, False)
    yield address
    await server.stop(0)


async def test_a_client_certificate_is_shown_by_both_clients_from_paths_and_from_bytes(
    mutual: str, files: Certificates
) -> None:
    pair = (files.client, files.client_key)
    async with AsyncClient(
        mutual, root_certificates=files.ca, client_certificate=pair, retry=ONCE
    ) as client:
        assert await client.synthesize("Hi.", timeout_s=10).read_pcm() == CHUNK * 2

    def use() -> bytes:
        with Client(
            mutual,
            root_certificates=files.ca.read_bytes(),
            client_certificate=(pair[0].read_bytes(), pair[1].read_bytes()),
            retry=ONCE,
        ) as client:
            return client.synthesize("Hi.", timeout_s=10).read_pcm()

    assert await asyncio.to_thread(use) == CHUNK * 2


async def told(target: str, **arguments: object) -> str:
    """What the SDK says of a server that it cannot reach so."""
    async with AsyncClient(target, retry=ONCE, **arguments) as client:  # type: ignore[arg-type]
        with pytest.raises(errors.Unavailable) as caught:
            await client.server_info(timeout_s=10)
    return str(caught.value)


async def test_what_does_not_fit_is_said_with_what_to_pass(
    one_sided: str, mutual: str, files: Certificates, tmp_path: Path
) -> None:
    assert "root_certificates (csm: --ca, CSM_CA)" in await told(one_sided)
    lacking = await told(mutual, root_certificates=files.ca)
    assert "client_certificate (csm: --cert and --key)" in lacking
    strangers = Certificates(tmp_path / "strangers")
    untrusted = await told(one_sided, root_certificates=strangers.ca)
    assert "an authority that is not trusted" in untrusted
    elsewhere = await told(one_sided.replace("127.0.0.1", "127.0.0.2"), root_certificates=files.ca)
    assert "127.0.0.2" in elsewhere


async def test_the_other_address_of_localhost_does_not_hide_what_is_wrong(one_sided: str) -> None:
    said = await told(one_sided.replace("127.0.0.1", "localhost"))
    assert "root_certificates (csm: --ca, CSM_CA)" in said or "127.0.0.1 in its place" in said


async def test_a_certificate_for_other_names_is_told_as_such(files: Certificates) -> None:
    pair = make_server(files.authority, "elsewhere", ("speech.example",), 1)
    pair.write(files.certificate, files.key)
    server, address = await serve(files, False)
    assert "certificate is for other names" in await told(address, root_certificates=files.ca)
    await server.stop(0)


async def test_a_certificate_that_has_expired_is_told_as_such(files: Certificates) -> None:
    make_server(files.authority, "old", HOSTS, -0.001).write(files.certificate, files.key)
    server, address = await serve(files, False)
    assert "certificate has expired" in await told(address, root_certificates=files.ca)
    await server.stop(0)


async def test_a_server_without_tls_is_told_as_such(files: Certificates) -> None:
    async with serving(FakeSpeech()) as target:
        said = await told(target, root_certificates=files.ca)
    assert "speaks plaintext" in said
    assert "leave root_certificates out" in said


@pytest.mark.parametrize("client", [Client, AsyncClient, TokenizerClient, AsyncTokenizerClient])
async def test_files_that_cannot_be_used_are_named_before_anything_is_sent(
    client: type, files: Certificates, tmp_path: Path
) -> None:
    def refused(**arguments: object) -> str:
        with pytest.raises(errors.InvalidArgument) as caught:
            client("localhost:1", **arguments)
        return str(caught.value)

    nothing, pair = tmp_path / "nothing.pem", (files.client, files.client_key)
    assert refused(root_certificates=nothing).startswith(
        f"root_certificates: {nothing} cannot be read"
    )
    assert "no PEM file" in refused(root_certificates=b"hello")
    assert "turns TLS on" in refused(client_certificate=pair)
    assert "client_certificate" in refused(
        root_certificates=files.ca, client_certificate=pair[::-1]
    )
    swapped = refused(root_certificates=files.ca, client_certificate=(files.client, files.key))
    assert f"{files.key} is not the key of the certificate in {files.client}" in swapped
    secret = files.key.read_bytes()
    said = refused(root_certificates=files.ca, client_certificate=(secret, secret))
    assert secret.splitlines()[1].decode() not in said


def renew(files: Certificates) -> None:
    """All of another authority, in the same places."""
    Certificates(files.folder, make_authority("another"))


async def test_files_that_were_renewed_are_used_by_the_next_call_of_both_clients(
    files: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csm.client.renewal.LOOK_S", 0.0)
    arguments = {
        "root_certificates": files.ca,
        "client_certificate": (files.client, files.client_key),
        "retry": ONCE,
    }
    server, address = await serve(files, True)
    async with AsyncClient(address, **arguments) as client:  # type: ignore[arg-type]
        with Client(address, **arguments) as blocking:  # type: ignore[arg-type]
            before = await client.server_info()
            assert await asyncio.to_thread(blocking.server_info) == before
            await server.stop(0)
            renew(files)
            server, _ = await serve(files, True, address)
            assert await client.server_info() == before
            assert await asyncio.to_thread(blocking.server_info) == before
            speech = client.synthesize("Hi.", timeout_s=10)
            assert await speech.read_pcm() == CHUNK * 2
    await server.stop(0)


async def test_calls_under_way_stay_on_their_connection_and_broken_files_change_nothing(
    files: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csm.client.renewal.LOOK_S", 0.0)
    server, address = await serve(files, False)
    async with AsyncClient(address, root_certificates=files.ca, retry=ONCE) as client:
        whole = files.ca.read_bytes()
        async with client.converse() as conversation:
            files.ca.write_bytes(whole[:100])
            assert (await client.server_info()).model
            assert len(client._channels.channels) == 1
            # As many as are kept for calls that began over them.
            for number in range(1, MAX_REPLACED + 1):
                files.ca.write_bytes(whole + b"\n" * number)
                assert (await client.server_info()).model
                assert len(client._channels.channels) == 1 + number
            await conversation.say("Hi.")
            await conversation.end_turn()
            async with asyncio.timeout(10):
                while not isinstance(event := await anext(conversation), TurnCompleted):
                    pass
            assert event.error is None
        for number in range(5):
            files.ca.write_bytes(whole + b" " * number)
            assert (await client.server_info()).model
        assert len(client._channels.channels) == 1 + MAX_REPLACED
    await server.stop(0)


def test_two_are_equal_where_the_files_hold_the_same(files: Certificates) -> None:
    before = ClientTls.of(files.ca, files.client, files.client_key)
    assert before == ClientTls.of(files.ca, files.client, files.client_key)
    assert before != ClientTls.of(files.ca)
    assert ClientTls.of(None) is None
