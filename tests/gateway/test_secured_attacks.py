"""What strangers, and tenants who want more than is theirs, send to a gateway with identity."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
import websockets
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import generate_latest
from websockets.exceptions import InvalidHandshake

from csm.serving.auth.identity import Scope
from csm.serving.auth.token_file import new_token
from csm.v1 import speech_pb2, speech_pb2_grpc
from tests.gateway.calls import Conversation, synthesize
from tests.gateway.secured import Caller, Secured, secured
from tests.gateway.stolen import said

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = "https://page.example"
SPEAK = {"model": "csm", "input": "Hi.", "voice": "", "response_format": "pcm"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    folder = tmp_path_factory.mktemp("attacked")
    async with secured(folder, http_cors_origins=PAGE, health_port=0) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def a(place: Secured) -> Caller:
    return await place.caller("a")


async def raw(place: Secured, *requests: bytes) -> list[bytes]:
    """The answers to requests that are sent at once, over one connection."""
    reader, writer = await asyncio.open_connection(
        "localhost", place.http_port, ssl=place.files.context(shows=False)
    )
    try:
        writer.write(b"".join(requests))
        answers = []
        for _ in requests:
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            except asyncio.IncompleteReadError:
                break
            lines = head.lower().split(b"\r\n")
            (size,) = [int(x[15:]) for x in lines if x.startswith(b"content-length:")] or [0]
            answers.append(head + await reader.readexactly(size))
        return answers
    finally:
        writer.close()


def request(path: str, *headers: str, host: str = "x") -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"host: {host}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def status(answer: bytes) -> int:
    return int(answer.split()[1])


async def test_headers_that_are_more_or_less_than_one_token(place: Secured, a: Caller) -> None:
    good = f"Bearer {a.token}"
    refused = [
        (f"authorization: {good}", f"authorization: {good}"),
        (f"authorization: {good}", "AUTHORIZATION: Bearer x"),
        ("authorization: Bearer x", f"Authorization: {good}"),
        (f"authorization: {good}, {good}",),
        (f"authorization: {good}é",),
        (f"proxy-authorization: {good}",),
        (f"x-authorization: {good}",),
        (f"cookie: authorization={good}",),
        (f"x-forwarded-authorization: {good}",),
    ]
    for headers in refused:
        (answer,) = await raw(place, request("/v1/models", *headers))
        assert status(answer) == 401, headers
        assert a.token.encode() not in answer
    for headers in ((f"AUTHORIZATION: {good}",), (f"authorization:   {good}   ",)):
        (answer,) = await raw(place, request("/v1/models", *headers))
        assert status(answer) == 200, headers
    for odd in (f"authorization : {good}", f" authorization: {good}", "a: " + "x" * (1 << 20)):
        (answer,) = await raw(place, request("/v1/models", odd)) or [b"- 400"]
        assert status(answer) in (400, 401)
    for query in (f"?authorization={good}", f"?access_token={a.token}", f"?token={a.token}"):
        (answer,) = await raw(place, request("/v1/models" + query.replace(" ", "%20")))
        assert status(answer) == 401, query


async def test_metadata_that_is_more_or_less_than_one_token(place: Secured, a: Caller) -> None:
    good = ("authorization", f"Bearer {a.token}")
    info = speech_pb2.GetServerInfoRequest()

    async def code(*metadata: Any) -> grpc.StatusCode:
        try:
            await place.stub.GetServerInfo(info, metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            told.append(f"{error.details()}{error.trailing_metadata()}")
            return error.code()
        return grpc.StatusCode.OK

    told: list[str] = []
    unknown = grpc.StatusCode.UNAUTHENTICATED
    assert await code(good) is grpc.StatusCode.OK
    assert await code(good, good) is unknown
    assert await code(good, ("authorization", "Bearer x")) is unknown
    assert await code(("authorization", f"{good[1]},{good[1]}")) is unknown
    assert await code(("authorization-bin", good[1].encode())) is unknown
    assert await code(("x-authorization", good[1])) is unknown
    assert await code(("authorization", "Bearer " + "x" * (1 << 20))) in (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
    )
    assert await code(good) is grpc.StatusCode.OK
    assert not any(a.token in one for one in told)


async def test_one_request_lends_its_caller_to_none_behind_it(
    place: Secured, a: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with_it = request("/v1/models", f"authorization: Bearer {a.token}")
    without = request("/v1/models")
    with caplog.at_level(logging.INFO):
        answers = await raw(place, with_it, without, with_it, without)
    # The first that is refused may end the connection.
    assert [status(one) for one in answers][:2] == [200, 401]
    told = [getattr(record, "fields", {}) for record in caplog.records]
    told = [one for one in told if "/v1/models" in str(one)]
    refused = [one for one in told if one.get("status") == "401"]
    assert refused
    for one in refused:
        assert "principal" not in one or not one["principal"], one
        assert "name-" not in str(one), one


@pytest.mark.parametrize(
    "offered",
    [
        ",,,", "csm.bearer.", "csm.bearer.{0},csm.bearer.{0}", "csm.bearer.{0}é", "csm.bearer {0}",
        "csm.v1", "CSM.BEARER.{0}", "csm.bearer." + "x" * 9000, "csm.bearer.Bearer {0}", "\x01",
    ],
)  # fmt: skip
async def test_subprotocols_of_any_kind_are_a_refusal(
    place: Secured, a: Caller, offered: str
) -> None:
    (answer,) = await raw(
        place,
        request(
            "/v1/conversations", "connection: upgrade", "upgrade: websocket",
            "sec-websocket-version: 13", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
            f"sec-websocket-protocol: {offered.format(a.token)}",
        ),
    )  # fmt: skip
    assert status(answer) in (400, 401), answer
    assert a.token.encode() not in answer


async def test_a_page_asks_first_without_a_credential_and_gets_no_cookies(
    place: Secured, a: Caller
) -> None:
    async with place.http(origin=PAGE) as http:
        asked = {
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type",
        }
        answer = await http.options("/v1/audio/speech", headers=asked)
        assert answer.status_code == 200
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        assert "access-control-allow-credentials" not in answer.headers
        # Why it is refused a page may read too.
        answer = await http.get("/v1/models")
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == PAGE
        other = await http.options(
            "/v1/audio/speech", headers=asked | {"origin": "https://other.example"}
        )
        assert other.status_code == 400
        assert "access-control-allow-origin" not in other.headers


async def test_a_body_that_is_still_coming_does_not_hide_the_refusal(
    place: Secured, a: Caller
) -> None:
    for token, expected in ((new_token(), 401), ((await place.caller("a", [])).token, 403)):
        reader, writer = await asyncio.open_connection(
            "localhost", place.http_port, ssl=place.files.context(shows=False)
        )
        head = [
            "POST /v1/audio/speech HTTP/1.1", "host: x", "content-type: application/json",
            "content-length: 200000", f"authorization: Bearer {token}", "", "",
        ]  # fmt: skip
        writer.write("\r\n".join(head).encode())
        for _ in range(20):
            writer.write(b"x" * 10_000)
            await asyncio.sleep(0.005)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert status(answer) == expected
        assert b'"error"' in answer
        writer.close()


async def test_nothing_tells_a_token(
    place: Secured, a: Caller, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    wrong, stranger = new_token(), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2VjcmV0LXNpZ25hdHVyZQ"
    secrets = [a.token, wrong, stranger, place.backend_token.read_text()]
    told: list[str] = []
    with caplog.at_level(logging.DEBUG):
        await said(a, "told", "Hello there.")
        assert (await synthesize(a, "One.")).frames
        for token in (wrong, stranger):
            who = Caller(place, token, "")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await synthesize(who, "One.")
            told.append(f"{caught.value}{caught.value.trailing_metadata()}")
            async with Conversation(who) as call:
                told.append(str(await call.failed()))
            async with who.http as http:
                answer = await http.post("/v1/audio/speech", json=SPEAK)
                told += [answer.text, str(answer.headers)]
        for token in (a.token, wrong):
            url = f"wss://localhost:{place.http_port}/v1/conversations"
            try:
                async with websockets.connect(
                    url,
                    ssl=place.files.context(shows=False),
                    subprotocols=["csm.v1", f"csm.bearer.{token}"],  # type: ignore[list-item]
                    logger=logging.getLogger("of.the.client"),
                ) as socket:
                    await socket.send(json.dumps({"type": "nothing", "token": token}))
                    told.append(str(await socket.recv()))
            except InvalidHandshake as error:
                told.append(str(error))
        async with place.http() as http:
            told.append((await http.get("/openapi.json")).text)
            told.append((await http.get("/readyz")).text)
    told.append(generate_latest(place.stack.metrics.registry).decode())
    for record in caplog.records:
        # What the tests' own clients log is theirs.
        if not record.name.startswith(("of.the.client", "httpcore", "hpack", "httpx")):
            told.append(f"{record.name} {record.getMessage()} {record.__dict__}")
    told += list(capfd.readouterr())
    for secret in secrets:
        for one in told:
            assert secret not in one, one[:300]
            assert secret.split("_", 1)[-1] not in one, one[:300]


async def test_health_and_metrics_tell_nobody_of_tenants(place: Secured, a: Caller) -> None:
    await said(a, "of-a-tenant", "Hello there.")
    figures = generate_latest(place.stack.metrics.registry).decode()
    for secret in ("of-a-tenant", "name-1", 'tenant="a"'):
        assert secret not in figures
    health = f"127.0.0.1:{place.stack.host.health_port}"
    async with grpc.aio.insecure_channel(health) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await speech_pb2_grpc.SpeechServiceStub(channel).GetServerInfo(
                speech_pb2.GetServerInfoRequest(), metadata=a.metadata, timeout=5
            )
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (
                reflection_pb2_grpc.ServerReflectionStub(channel)
                .ServerReflectionInfo(iter([asked]), timeout=5)
                .read()
            )
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_strangers_who_stream_are_not_read_on_without_end(
    place: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = speech_pb2.ConverseRequest(
        heard_audio=speech_pb2.ConverseHeardAudio(audio=bytes(1 << 16))
    )
    reading = most = 0
    from csm.serving.rpc import method

    real = method.read_on

    async def counted(requests: Any) -> None:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        try:
            await real(requests)
        finally:
            reading -= 1

    monkeypatch.setattr(method, "read_on", counted)

    async def stranger() -> grpc.StatusCode:
        async def flow() -> AsyncIterator[Any]:
            while True:
                yield part
                await asyncio.sleep(0.01)

        call = place.stub.Converse(flow(), timeout=20)
        try:
            while await call.read():
                pass
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    codes = await asyncio.gather(*(stranger() for _ in range(60)))
    assert 0 < most <= method.MAX_STRANGERS
    assert codes.count(grpc.StatusCode.UNAUTHENTICATED) >= method.MAX_STRANGERS


async def test_handshakes_that_never_end_keep_nobody_out(place: Secured, a: Caller) -> None:
    _, _, grpc_port = place.address.rpartition(":")
    hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = place.files.context(shows=False)
    wrapped = context.wrap_bio(*hello, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        wrapped.do_handshake()
    first = hello[1].read()
    open_ones = []
    try:
        for number in range(250):
            for port in (int(grpc_port), place.http_port):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(first[: len(first) // 2] if number % 2 else first)
                open_ones.append(writer)
        assert (await synthesize(a, "One.")).frames
        other = await place.caller("a")
        async with other.http as http:
            assert (await http.post("/v1/audio/speech", json=SPEAK)).status_code == 200
        credentials = grpc.ssl_channel_credentials(place.files.ca.read_bytes())
        async with grpc.aio.secure_channel(place.address, credentials) as channel:
            stub = speech_pb2_grpc.SpeechServiceStub(channel)
            info = speech_pb2.GetServerInfoRequest()
            await stub.GetServerInfo(info, metadata=a.metadata, timeout=10)
    finally:
        for writer in open_ones:
            writer.transport.abort()


async def test_a_file_that_changes_fifty_times_a_second_keeps_nobody_out(
    place: Secured, a: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csm.serving.auth.watched_file.LOOK_S", 0.01)
    whole = place.tokens.path.read_bytes()
    aside = place.folder / "aside"
    done = asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            await place.watch.look()

    async def change() -> None:
        path = place.tokens.path
        for number in range(100):
            match number % 5:
                case 0:
                    path.write_bytes(b"")
                case 1:
                    path.write_bytes(whole[: whole.index(b"\n", len(whole) // 2) + 1])
                case 2:
                    path.unlink()
                case 3:
                    aside.write_bytes(whole)
                    path.unlink(missing_ok=True)
                    path.symlink_to(aside)
                case 4:
                    path.unlink()
                    path.write_bytes(whole)
            await asyncio.sleep(0.02)
        done.set()

    looking, changing = asyncio.create_task(look()), asyncio.create_task(change())
    calls = 0
    while not done.is_set():
        await a.stub.GetServerInfo(speech_pb2.GetServerInfoRequest(), timeout=10)
        calls += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(looking, changing)
    assert calls > 50
    place.tokens.path.write_bytes(whole)
    await place.watch.look()
    assert (await synthesize(a, "One.")).frames
    assert await place.caller("new", [Scope.SPEAK])
