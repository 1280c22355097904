"""Which servers a URL means, and real ones behind Sentinel and in a cluster."""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from csm import errors
from csm.serving.metrics import GatewayMetrics, Metrics
from gateway.conversations.in_process import InProcessStore
from gateway.conversations.redis.connection import connect
from gateway.conversations.redis.store import RedisStore
from gateway.conversations.stores import make_store
from gateway.settings import GatewaySettings
from tests.certificates import Certificates
from tests.gateway.conversations.making import segment, turn
from tests.gateway.conversations.redis.server import (
    PROGRAM,
    closed,
    needs_redis,
    redis_server,
    redis_store,
    said,
)

ONCE = Retry(NoBackoff(), 0)


@pytest.mark.parametrize(
    "url",
    [
        "http://host:1",
        "host:6379",
        "redis://host:many/0",
        "redis+sentinel://host:26379",
        "redis+sentinel://,host/main",
        "redis+cluster://:6379",
        "redis+sentinel://host/main/first",
    ],
)
async def test_a_wrong_url_is_refused_with_what_is_allowed(url: str) -> None:
    with pytest.raises(ValueError, match=r"^store_url: .*allowed are redis://HOST:PORT/DB"):
        connect(url, 0.1)


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@host:many", "redis+sentinel://me:hunter2@host:many/main", "hunter2@h"]
)
async def test_an_error_does_not_tell_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="store_url") as caught:
        connect(url, 0.1)
    assert "hunter2" not in str(caught.value)


async def test_settings_name_the_store_and_hide_its_password() -> None:
    metrics = Metrics()
    settings = GatewaySettings(store_url="redis://:hunter2@127.0.0.1:1")
    assert "hunter2" not in str(settings.model_dump(mode="json"))
    gateway = GatewayMetrics(metrics.registry)
    store = make_store(settings, gateway, lambda: "cd")
    assert isinstance(store, RedisStore)
    assert isinstance(make_store(GatewaySettings(), gateway, lambda: ""), InProcessStore)
    await store.stop()


def test_the_package_is_imported_only_where_a_store_is_named() -> None:
    code = "import sys, gateway.main; sys.exit('redis' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_package_is_named_with_what_installs_it() -> None:
    code = """
import sys
sys.modules["redis"] = None
from gateway.conversations.stores import make_store
from gateway.settings import GatewaySettings
from csm.serving.metrics import GatewayMetrics, Metrics
make_store(GatewaySettings(store_url="redis://h"), GatewayMetrics(Metrics().registry), str)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ValueError: store_url: needs the package redis; install it" in ended.stderr


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{}", "redis+cluster://127.0.0.1:{}",
            "redis+sentinel://127.0.0.1:{}/main", "unix:///nowhere/{}"],
)  # fmt: skip
async def test_servers_of_any_kind_that_are_not_there_cannot_be_reached(url: str) -> None:
    async with redis_store(url.format(free_port())) as store:
        here = await store.open("c", "v", 0)
        here.add(turn("t", segment("x", 2)))
        assert await here.unsaved() == "the store of conversations cannot be reached"
        with pytest.raises(errors.Unavailable):
            await store.ids()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def processes(*commands: list[str]) -> Iterator[None]:
    running = [subprocess.Popen(c, stdout=subprocess.DEVNULL) for c in commands]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait(10)


def answering(
    port: int, password: str | None = None, files: Certificates | None = None
) -> redis.Redis:
    """A client of the server there, over TLS with `files`, as soon as it answers."""
    tls: dict[str, Any] = {}
    if files is not None:
        tls = {"ssl": True, "ssl_ca_certs": str(files.ca)}
        tls |= {"ssl_certfile": str(files.client), "ssl_keyfile": str(files.client_key)}
    client = redis.Redis(host="127.0.0.1", port=port, password=password, retry=ONCE, **tls)
    for _ in range(200):
        with contextlib.suppress(redis.RedisError):
            client.ping()
            return client
        time.sleep(0.02)
    raise AssertionError(f"nothing answers at {port}")


def in_a_cluster(client: redis.Redis) -> None:
    for _ in range(400):
        if "ok" in str(client.execute_command("CLUSTER INFO")["cluster_state"]):
            return
        time.sleep(0.02)
    raise AssertionError("no cluster")


async def talks(url: str) -> None:
    """A conversation there and back, with the list of all."""
    async with redis_store(url, timeout_s=2.0) as store:
        for name in ("a", "b", "c"):
            here = await store.open(name, "v", 0)
            here.add(turn("t", segment("x", 2)))
            await closed(store, here)
            assert said(await store.read(name)) == said(here)
        assert sorted(await store.ids()) == ["a", "b", "c"]
        await store.delete("b", 0)
        assert sorted(await store.ids()) == ["a", "c"]


@needs_redis
async def test_one_server_with_a_password() -> None:
    assert PROGRAM
    port = free_port()
    command = [PROGRAM, "--port", str(port), "--save", "", "--requirepass", "a b@c"]
    with processes(command):
        answering(port, "a b@c")
        await talks(f"redis://:a%20b%40c@127.0.0.1:{port}/3")


@needs_redis
async def test_a_cluster_has_all_keys_of_a_conversation_together() -> None:
    assert PROGRAM
    ports = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="csm") as folder:
        commands = []
        for port in ports:
            (Path(folder) / str(port)).mkdir()
            commands.append(
                [PROGRAM, "--port", str(port), "--save", "", "--dir", f"{folder}/{port}",
                 "--cluster-enabled", "yes", "--cluster-port", str(free_port())]
            )  # fmt: skip
        with processes(*commands):
            one, two = (answering(port) for port in ports)
            one.execute_command("CLUSTER ADDSLOTSRANGE", 0, 8000)
            two.execute_command("CLUSTER ADDSLOTSRANGE", 8001, 16383)
            bus = int(commands[1][-1])
            one.execute_command("CLUSTER MEET", "127.0.0.1", ports[1], bus)
            in_a_cluster(one)
            in_a_cluster(two)
            await talks(f"redis+cluster://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}")
            # Two conversations, a grave, and the two that count them.
            assert one.dbsize() + two.dbsize() == 7


@needs_redis
async def test_sentinel_names_the_server() -> None:
    assert PROGRAM
    port, watcher = free_port(), free_port()
    with redis_server("--port", str(port)) as server:
        config = server.folder / "sentinel.conf"
        config.write_text(f"port {watcher}\nsentinel monitor main 127.0.0.1 {port} 1\n")
        with processes([PROGRAM, str(config), "--sentinel"]):
            answering(watcher)
            await talks(f"redis+sentinel://127.0.0.1:{watcher}/main/0")
