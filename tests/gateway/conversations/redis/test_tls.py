"""The store over TLS: a real server that takes nothing else, with certificates on both sides."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import redis.asyncio as aioredis

from gateway.conversations.redis.connection import connect
from tests.certificates import Certificates
from tests.gateway.conversations.redis.server import closed, needs_redis, redis_server, redis_store

pytestmark = needs_redis


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


@pytest.fixture
def port(files: Certificates) -> Iterator[int]:
    """Where a server listens with TLS alone, and wants certificates of its clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    arguments = {
        "--tls-port": number, "--bind": "127.0.0.1", "--tls-cert-file": files.certificate,
        "--tls-key-file": files.key, "--tls-ca-cert-file": files.ca, "--tls-auth-clients": "yes",
    }  # fmt: skip
    with redis_server(*(str(word) for pair in arguments.items() for word in pair)):
        yield number


def url(port: int, scheme: str = "rediss", tail: str = "/0", **query: object) -> str:
    return f"{scheme}://127.0.0.1:{port}{tail}" + (f"?{urlencode(query)}" if query else "")


def query(files: Certificates) -> dict[str, Path]:
    return {
        "ssl_ca_certs": files.ca,
        "ssl_certfile": files.client,
        "ssl_keyfile": files.client_key,
    }


async def test_conversations_are_kept_over_mutual_tls(port: int, files: Certificates) -> None:
    async with redis_store(url(port, **query(files)), timeout_s=3.0) as store:
        assert store.ready()
        opened = await store.open("c", "v", 0)
        client = connect(url(port, **query(files)), 3.0)
        assert await client.dbsize()  # its lease
        await client.aclose()
        await closed(store, opened)


@pytest.mark.parametrize("given", [(), ("ssl_ca_certs",), ("ssl_certfile", "ssl_keyfile")])
async def test_without_the_authority_or_the_certificate_there_is_no_connection(
    port: int, files: Certificates, given: tuple[str, ...]
) -> None:
    client = connect(url(port, **{name: query(files)[name] for name in given}), 3.0)
    with pytest.raises(aioredis.ConnectionError):
        await client.ping()
    await client.aclose()


async def test_a_server_of_another_name_is_not_trusted(port: int, files: Certificates) -> None:
    other = url(port, **query(files)).replace("127.0.0.1", "127.0.0.1.nip.invalid")
    assert connect(other, 1.0).connection_pool.connection_kwargs["ssl_check_hostname"] is True
    with pytest.raises(aioredis.ConnectionError):
        await connect(other, 1.0).ping()


@pytest.mark.parametrize(
    ("scheme", "tail"), [("rediss+sentinel", "/service/0"), ("rediss+cluster", "")]
)
async def test_several_hosts_are_reached_with_the_files_too(
    files: Certificates, scheme: str, tail: str
) -> None:
    client = connect(url(1, scheme, tail, **query(files)), 0.5)
    kwargs = (
        client.connection_kwargs  # type: ignore[union-attr]
        if scheme == "rediss+cluster"
        else client.connection_pool.connection_kwargs
    )
    for name, path in query(files).items():
        assert kwargs[name] == str(path)
    await client.aclose()


@pytest.mark.parametrize("scheme", ["rediss", "rediss+cluster"])
def test_files_that_cannot_be_used_are_named_and_no_password(
    files: Certificates, scheme: str
) -> None:
    def told(**query: object) -> str:
        given = url(1, scheme, "", **query).replace("://", "://user:secret@")
        with pytest.raises(ValueError, match="store_url: ") as caught:
            connect(given, 1.0)
        assert "secret" not in str(caught.value)
        return str(caught.value)

    nothing = files.folder / "nothing.pem"
    assert f"ssl_ca_certs: {nothing} cannot be read" in told(ssl_ca_certs=nothing)
    assert f"ssl_ca_certs: {files.key} holds a private key" in told(ssl_ca_certs=files.key)
    assert "ssl_keyfile is missing" in told(ssl_certfile=files.client)
    assert "is not the key" in told(ssl_certfile=files.client, ssl_keyfile=files.key)
