"""What a client can make grow, and how long it may take: heads, bodies, connections."""

import asyncio
import contextlib
import json
import resource
import socket
import time

import httpx
import pytest
from websockets.asyncio.client import connect

from csm.serving.process.memory import resident_bytes
from gateway.http import connection
from gateway.http.connection import MAX_HEAD_BYTES
from gateway.memory_bounds import CONNECTION_BYTES
from tests.gateway.fakes import Stack, stack

SPEECH = b"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
HANDSHAKE = (
    b"GET /v1/conversations HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n"
    b"connection: Upgrade\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Raw:
    """A connection without a client's manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, served: Stack) -> "Raw":
        assert served.service.door is not None
        return cls(*await asyncio.open_connection("127.0.0.1", served.service.door.port))

    async def answer(self) -> tuple[int, str]:
        """Status and code of the error."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        size = int(head.split("content-length: ")[1].split()[0])
        body = await asyncio.wait_for(self.reader.readexactly(size), 10)
        self.writer.close()
        error = json.loads(body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return int(head.split()[1]), error["code"]


async def test_a_head_that_is_too_large_is_refused() -> None:
    async with stack(http_port=0) as one:
        raw = await Raw.to(one)
        raw.writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-much: ")
        raw.writer.write(b"a" * (MAX_HEAD_BYTES + 100))
        assert await raw.answer() == (400, "invalid_http")


async def test_what_is_no_http_is_refused() -> None:
    async with stack(http_port=0) as one:
        raw = await Raw.to(one)
        raw.writer.write(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert await raw.answer() == (400, "invalid_http")


@pytest.mark.parametrize("begun", [b"", b"GET /v1/models HTTP/1.1\r\nhost:"])
async def test_a_head_that_does_not_come_is_not_waited_for(begun: bytes) -> None:
    async with stack(http_port=0, http_arrival_s=0.3) as one:
        raw = await Raw.to(one)
        raw.writer.write(begun)
        began = time.monotonic()
        assert await raw.answer() == (408, "request_timeout")
        assert time.monotonic() - began < 3


async def test_a_head_that_drips_after_another_request_is_not_waited_for() -> None:
    async with stack(http_port=0, http_arrival_s=0.4) as one:
        raw = await Raw.to(one)
        raw.writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        while b"alive" not in await raw.reader.read(1000):
            pass
        raw.writer.write(b"GET /hea")
        assert await raw.answer() == (408, "request_timeout")


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with stack(http_port=0, http_arrival_s=0.3) as one:
        raw = await Raw.to(one)
        raw.writer.write(SPEECH + b'content-length: 100\r\n\r\n{"input"')
        assert await raw.answer() == (408, "request_timeout")
        await one.settled()


async def test_a_body_that_drips_is_not_waited_for() -> None:
    async with stack(http_port=0, http_arrival_s=0.5) as one:
        raw = await Raw.to(one)
        raw.writer.write(SPEECH + b"transfer-encoding: chunked\r\n\r\n")

        async def drip() -> None:
            while True:
                raw.writer.write(b"1\r\n \r\n")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        # Who goes on sending may find the connection closed before all of the answer is read.
        assert b" 408 " in await asyncio.wait_for(raw.reader.readline(), 10)
        dripping.cancel()


async def test_a_body_that_does_not_say_its_size_is_refused_when_it_is_too_large() -> None:
    async with stack(http_port=0, http_max_body_bytes=16 << 10) as one:
        raw = await Raw.to(one)
        size = 20 << 10
        raw.writer.write(SPEECH + b"transfer-encoding: chunked\r\n\r\n")
        raw.writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size))
        assert await raw.answer() == (413, "request_too_large")


async def test_a_body_that_says_its_size_is_refused_before_it_comes() -> None:
    async with stack(http_port=0) as one:
        raw = await Raw.to(one)
        raw.writer.write(SPEECH + b"content-length: 999999999\r\n\r\n")
        began = time.monotonic()
        assert await raw.answer() == (413, "request_too_large")
        assert time.monotonic() - began < 4


async def test_bodies_held_at_once_are_bounded() -> None:
    async with stack(http_port=0, http_max_bodies_bytes=1 << 20) as one:
        waiting = [await Raw.to(one) for _ in range(3)]
        for raw in waiting:
            raw.writer.write(SPEECH + b"content-length: 500000\r\n\r\n" + b" " * 499_999)
        answers = [asyncio.create_task(raw.answer()) for raw in waiting]
        done, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        assert done.pop().result() == (429, "resource_exhausted")
        for raw in waiting:
            raw.writer.write(b" ")
        assert sorted([(await answer)[0] for answer in answers]) == [400, 400, 429]


async def test_more_connections_than_allowed_are_refused() -> None:
    async with stack(http_port=0, http_max_connections=3) as one:
        held = [await Raw.to(one) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert await (await Raw.to(one)).answer() == (503, "unavailable")
        held[0].writer.close()
        await asyncio.sleep(0.1)
        async with httpx.AsyncClient(base_url=one.http) as http:
            assert (await http.get("/healthz")).status_code == 200


async def test_a_body_that_is_packed_is_refused() -> None:
    async with stack(http_port=0) as one, httpx.AsyncClient(base_url=one.http) as http:
        answer = await http.post(
            "/v1/audio/speech",
            content=b"x",
            headers={"content-type": "application/json", "content-encoding": "gzip"},
        )
        assert answer.status_code == 415


async def test_a_client_that_does_not_read_loses_its_turn_and_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "FLUSH_S", 0.1)
    async with stack(http_port=0, max_unread_s=0.5) as one:
        one.generator.frames_per_char = 2.0
        assert one.service.door is not None
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", one.service.door.port))
        given = json.dumps({"input": "A long text. " * 300, "response_format": "pcm"}).encode()
        deaf.send(SPEECH + b"content-length: %d\r\n\r\n%s" % (len(given), given))
        began = time.monotonic()
        while not one.generator.running:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        while one.generator.running or one.sample("csm_http_connections"):
            assert time.monotonic() - began < 20
            await asyncio.sleep(0.05)
        deaf.close()
        await one.settled()


async def test_messages_that_are_never_finished_are_bounded_together() -> None:
    async with stack(http_port=0, http_max_bodies_bytes=1 << 20) as one:
        raw = []
        for size in (300_000, 300_000, 600_000):
            one_raw = await Raw.to(one)
            one_raw.writer.write(HANDSHAKE)
            assert b" 101 " in await one_raw.reader.readuntil(b"\r\n\r\n")
            # A binary frame of 700,000 bytes, masked, of which not all comes.
            one_raw.writer.write(
                b"\x82\xff" + (700_000).to_bytes(8, "big") + bytes(4) + bytes(size)
            )
            raw.append(one_raw)
        largest = raw.pop()
        with contextlib.suppress(ConnectionResetError):
            told = await asyncio.wait_for(largest.reader.read(), 10)
            assert told[:2] == b"\x88\x14"
            assert told[2:4] == (1013).to_bytes(2, "big")
        await asyncio.sleep(0.1)
        assert one.sample("csm_http_websockets") == 2
        for one_raw in (*raw, largest):
            one_raw.writer.close()


async def test_a_thousand_idle_websockets_are_held_in_what_is_reserved_for_them() -> None:
    most = 1000
    # Both ends of each connection are here.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4 * most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * most, hard), hard))
    async with stack(
        http_port=0, http_max_connections=most + 8, max_converse_calls=most, first_message_s=60
    ) as one:
        address = one.http.replace("http", "ws") + "/v1/conversations"
        assert one.service.door is not None
        before = resident_bytes()
        raw = []
        # By hand: a thousand clients would be measured with the server.
        for _ in range(most):
            one_raw = await Raw.to(one)
            one_raw.writer.write(HANDSHAKE)
            raw.append(one_raw)
        for one_raw in raw:
            assert b"101" in await one_raw.reader.read(1000)
        assert one.sample("csm_http_websockets") == most
        # The clients' ends of the connections are in this process too.
        assert resident_bytes() - before < 2 * most * CONNECTION_BYTES
        async with httpx.AsyncClient(base_url=one.http) as http:
            answer = await http.post(
                "/v1/audio/speech", json={"input": "Hello there.", "response_format": "pcm"}
            )
            assert answer.status_code == 200
        async with connect(address):
            pass
        for one_raw in raw:
            one_raw.writer.close()
        while one.sample("csm_http_websockets"):
            await asyncio.sleep(0.02)
