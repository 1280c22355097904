"""The store over TLS: a real server that takes nothing else, with certificates on both sides."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import redis.asyncio as aioredis

from csm.cli.certificates import make_authority
from gateway.conversations.redis.connection import MAX_CONNECTIONS, connect
from tests.certificates import Certificates
from tests.gateway.conversations.redis.server import (
    PROGRAM,
    closed,
    needs_redis,
    redis_server,
    redis_store,
)
from tests.gateway.conversations.redis.test_connection import answering, free_port, processes

pytestmark = needs_redis


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certificates")


def encrypted(files: Certificates, port: int) -> list[str]:
    """Of a server that listens with TLS alone, and wants certificates of its clients."""
    arguments = {
        "--tls-port": port, "--bind": "127.0.0.1", "--tls-cert-file": files.certificate,
        "--tls-key-file": files.key, "--tls-ca-cert-file": files.ca, "--tls-auth-clients": "yes",
    }  # fmt: skip
    return [str(word) for pair in arguments.items() for word in pair]


@pytest.fixture
def port(files: Certificates) -> Iterator[int]:
    number = free_port()
    with redis_server(*encrypted(files, number)):
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


def renewed(files: Certificates) -> None:
    """All of another authority, in the same places."""
    Certificates(files.folder, make_authority("another"))


async def answers(client: Any) -> None:
    """Comes back by itself, within seconds."""
    until = time.monotonic() + 10
    while True:
        try:
            await client.ping()
            return
        except aioredis.RedisError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)


async def test_a_new_connection_uses_files_that_were_renewed(files: Certificates) -> None:
    number = free_port()
    client = connect(url(number, **query(files)), 3.0)
    with redis_server(*encrypted(files, number)) as server:
        # Several of the pool: each connection has read the files.
        await asyncio.gather(*(client.ping() for _ in range(MAX_CONNECTIONS)))
        server.end()
        renewed(files)
        server.up(*encrypted(files, number))
        await answers(client)
        await asyncio.gather(*(client.ping() for _ in range(MAX_CONNECTIONS)))
    await client.aclose()


async def test_files_that_are_broken_change_nothing_and_are_told_once(
    files: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    number = free_port()
    client = connect(url(number, **query(files)), 3.0)
    with redis_server(*encrypted(files, number)) as server:
        await client.ping()
        whole = files.client.read_bytes()
        files.client.write_bytes(whole[:100])
        for _ in range(2):
            server.end()
            server.up(*encrypted(files, number))
            await answers(client)
        told = [r.getMessage() for r in caplog.records if "TLS files" in r.getMessage()]
        assert len(told) == 1
        assert f"ssl_certfile: {files.client} holds a certificate that is broken" in told[0]
    await client.aclose()


async def test_a_cluster_and_a_sentinel_use_files_that_were_renewed(files: Certificates) -> None:
    """Nodes that are found later, and the sentinels themselves, too."""
    assert PROGRAM
    node, watched, watcher = free_port(), free_port(), free_port()
    folder = files.folder
    config = folder / "sentinel.conf"

    def commands() -> list[list[str]]:
        common = [str(PROGRAM), "--port", "0", "--save", "", "--dir", str(folder)]
        config.write_text(
            f"port 0\nsentinel monitor main 127.0.0.1 {watched} 1\ntls-replication yes\n"
        )
        (folder / "nodes.conf").unlink(missing_ok=True)
        return [
            [*common, *encrypted(files, node), "--cluster-enabled", "yes", "--tls-cluster", "yes",
             "--cluster-port", str(free_port())],
            [*common, *encrypted(files, watched)],
            [str(PROGRAM), str(config), "--sentinel", *encrypted(files, watcher)],
        ]  # fmt: skip

    clients = [
        connect(url(node, "rediss+cluster", "", **query(files)), 3.0),
        connect(url(watcher, "rediss+sentinel", "/main/0", **query(files)), 3.0),
    ]
    for again in (False, True):
        if again:
            renewed(files)
        with processes(*commands()):
            for number in (node, watched, watcher):
                answering(number, files=files)
            answering(node, files=files).execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            for client in clients:
                await answers(client)
    for client in clients:
        with contextlib.suppress(aioredis.RedisError):
            await client.aclose()
