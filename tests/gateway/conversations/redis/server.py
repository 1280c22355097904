"""A real redis-server for the tests, and a relay that can cut it off."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry

from csm.serving.metrics import GatewayMetrics
from gateway.conversations.conversation import ConversationLimits, StoredConversation
from gateway.conversations.memory import ConversationMemory
from gateway.conversations.redis.commands import RedisCommands
from gateway.conversations.redis.connection import connect
from gateway.conversations.redis.store import RedisStore
from tests.gateway.conversations.making import WIDE

PROGRAM = (
    os.environ.get("STORE_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
)
"""Another one by its path: `STORE_SERVER=/usr/bin/valkey-server make test`."""
needs_redis = pytest.mark.skipif(PROGRAM is None, reason="needs redis-server or valkey-server")


class RedisServer:
    """One process; its data outlives a restart where `save` says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def up(self, *arguments: str) -> None:
        assert PROGRAM is not None
        self.process = subprocess.Popen(
            [
                PROGRAM, "--port", "0", "--unixsocket", str(self.path), "--dir", str(self.folder),
                "--save", "", "--appendonly", "yes", "--appendfsync", "always",
                "--enable-debug-command", "yes", *arguments,
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(200):
            with contextlib.suppress(redis.RedisError):
                if self.client().ping():
                    return
            assert self.process.poll() is None, "redis-server ended at once"
            time.sleep(0.02)
        raise AssertionError("redis-server does not answer")

    def client(self) -> Any:
        return redis.Redis(unix_socket_path=str(self.path), socket_timeout=5)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Answers nobody meanwhile, and does afterwards what it was asked."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None


@contextlib.contextmanager
def redis_server(*arguments: str) -> Iterator[RedisServer]:
    """A running server. Its folder's name is short: a socket's path has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="csm") as folder:
        server = RedisServer(Path(folder))
        try:
            server.up(*arguments)
            yield server
        finally:
            server.end()


class Relay:
    """Between the gateway and the server; `cut` leaves connections open and lets nothing pass."""

    def __init__(self, server: RedisServer) -> None:
        self._to = server.path
        self.path = server.folder / "relay.sock"
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    async def up(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, str(self.path))

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(str(self._to))
        for a, b in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass(a, b))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def relay(server: RedisServer) -> AsyncIterator[Relay]:
    between = Relay(server)
    await between.up()
    try:
        yield between
    finally:
        await between.down()


@contextlib.asynccontextmanager
async def redis_store(
    url: str,
    *,
    lease_s: float = 10.0,
    timeout_s: float = 0.3,
    ttl_s: float = 100.0,
    limits: ConversationLimits = WIDE,
    codec: Callable[[], str] = lambda: "cd",
    fail: Any = "open",
) -> AsyncIterator[RedisStore]:
    """A store as one gateway has it, started."""
    metrics = GatewayMetrics(CollectorRegistry())
    memory = ConversationMemory(
        max_conversations=100, max_bytes=1 << 30, ttl_s=ttl_s, limits=limits
    )
    commands = RedisCommands(
        connect(url, timeout_s), metrics, timeout_s=timeout_s, lease_s=lease_s, ttl_s=ttl_s
    )
    store = RedisStore(memory, commands, codec, fail)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


async def closed(store: RedisStore, conversation: StoredConversation) -> None:
    """Returns when the lease is back."""
    store.close(conversation)
    async with asyncio.timeout(3):
        await conversation.free.wait()


def said(conversation: StoredConversation) -> list[tuple[str, str, bool, int, bytes]]:
    return [
        (t.turn_id, t.text, t.heard, t.num_frames, b"".join(s.codes for s in t.segments))
        for t in conversation.turns
    ]
