"""WebSockets that are refused before they are any: what is answered, counted and logged of them."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from csm import errors
from csm.serving.logs.access import CALL_ENDED
from tests.csm.serving.auth.cases import Tokens
from tests.csm.serving.logs.logged import logged
from tests.gateway.fakes import Stack, stack

PATH = "/v1/conversations"
ORIGIN = "https://page.example"
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "origin: {origin}\r\n\r\n"
)
CLOSE = b"\x88\x80\0\0\0\0"
"""A frame of a client that ends its WebSocket."""


@pytest.fixture
async def served() -> AsyncIterator[Stack]:
    async with stack(http_port=0, http_cors_origins=ORIGIN) as one:
        yield one


async def refused(served: Stack, path: str = PATH, **options: Any) -> tuple[int, dict[str, Any]]:
    """Status and error of the answer to a handshake."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(served.http.replace("http", "ws") + path, **options):
            pass
    response = caught.value.response
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    return response.status_code, json.loads(response.body)["error"]


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log has that is called a fault of ours."""
    return [f"{r.name}: {r.getMessage()}" for r in caplog.records if r.levelno >= logging.ERROR]


async def gone(served: Stack) -> None:
    """Returns when the server holds no connection; fails after two seconds."""
    for _ in range(200):
        if not served.sample("csm_http_connections"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("a connection is still held")


@pytest.mark.parametrize("path", ["/v1/conversation", f"{PATH}/", "/v1/audio/speech", "/secret"])
async def test_a_path_that_has_no_websocket_is_a_404_as_it_is_of_http(
    served: Stack, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level("INFO")
    assert await refused(served, path) == (
        404,
        {
            "message": "Not Found",
            "type": "invalid_request_error",
            "param": None,
            "code": "not_found",
        },
    )
    await gone(served)
    assert served.sample("csm_http_requests_total", route="other", status="404") == 1
    assert not served.sample("csm_http_requests_total", route="other", status="gone")
    (told,) = logged(caplog, CALL_ENDED)
    assert (told["method"], told["status"]) == ("WS other", "404")
    assert (told["transport"], told["error"]) == ("websocket", "not_found")
    assert faults(caplog) == []


@pytest.mark.parametrize("origin", ["https://other.example", "null", "http://[::1"])
async def test_only_pages_that_the_setting_names_may_open_one(
    served: Stack, caplog: pytest.LogCaptureFixture, origin: Any
) -> None:
    async with connect(served.http.replace("http", "ws") + PATH, origin=ORIGIN):  # type: ignore[arg-type]
        pass
    status, error = await refused(served, origin=origin)
    assert (status, error["code"]) == (403, "origin_not_allowed")
    await gone(served)
    assert faults(caplog) == []


async def test_who_shows_no_credential_is_no_fault_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = Tokens(tmp_path / "tokens")
    tokens.of([])
    async with stack(http_port=0, auth_tokens_file=tokens.path) as one:
        status, error = await refused(one)
        assert (status, error["code"]) == (401, "unauthenticated")
        await gone(one)
    assert faults(caplog) == []


async def test_a_gateway_that_takes_nothing_refuses_without_a_fault(
    served: Stack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.host, "_refusal", errors.Unavailable("it loads"))
    status, error = await refused(served)
    assert (status, error["code"]) == (503, "unavailable")
    await gone(served)
    assert faults(caplog) == []


async def test_what_fails_before_the_handshake_is_still_told_as_ours(
    served: Stack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.http.conversation_socket.origins", lambda _: 1 / 0)
    caplog.set_level("INFO")
    status, error = await refused(served, origin=ORIGIN)
    assert (status, error["type"]) == (500, "server_error")
    await gone(served)
    assert [r.name for r in caplog.records if r.levelno >= logging.ERROR] == ["csm.access"]


@pytest.mark.parametrize("behind", [b"", CLOSE, b"\x81\x85\0\0\0\0hello", b"\xff\xff\xff\xff"])
async def test_a_refusal_is_the_last_that_a_connection_gets(
    served: Stack, caplog: pytest.LogCaptureFixture, behind: bytes
) -> None:
    assert served.service.door is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", served.service.door.port)
    head = HANDSHAKE.format(path="/v1/conversation", origin=ORIGIN)
    writer.write(head.encode() + behind)
    answer = await asyncio.wait_for(reader.read(), 5)
    front, _, body = answer.partition(b"\r\n\r\n")
    assert front.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nconnection: close" in front.lower()
    assert json.loads(body)["error"]["code"] == "not_found"
    writer.close()
    await gone(served)
    assert faults(caplog) == []
