"""Identity, tenants and TLS together, as an operator has them: real tokens, real certificates."""

import asyncio
import json
import time
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
import websockets

from csm import errors
from csm.serving.auth.identity import Scope
from csm.v1 import speech_pb2
from gateway.backends.affinity import AFFINITY_HEADER, generator_key, scope_of
from tests.csm.cli.conftest import Csm, csm  # noqa: F401
from tests.gateway.calls import Conversation, synthesize, turns_of
from tests.gateway.conversations.redis.server import PROGRAM, redis_server
from tests.gateway.fakes import EOS
from tests.gateway.secured import Caller, Secured, secured
from tests.gateway.stolen import said
from tests.gateway.voices.making import create, names

pytestmark = pytest.mark.asyncio(loop_scope="module")
ID, NAME = "kept-0001", "voice-0001"


@pytest.fixture(scope="module", params=["memory", "redis"])
def kept_in(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    if request.param == "memory":
        yield {}
    elif PROGRAM is None:
        pytest.skip("needs redis-server or valkey-server")
    else:
        with redis_server() as server:
            yield {"store_url": server.url}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    kept_in: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Secured]:
    async with secured(tmp_path_factory.mktemp("secured"), **kept_in) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def a(place: Secured) -> Caller:
    """A first token of tenant A's."""
    return await place.caller("a")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def again(place: Secured, a: Caller) -> Caller:
    """A second one of A's."""
    return await place.caller("a")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def b(place: Secured, a: Caller) -> Caller:
    """One of tenant B's."""
    return await place.caller("b")


async def code_of(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_what_a_keeps_its_other_token_finds_and_b_does_not(
    a: Caller, again: Caller, b: Caller
) -> None:
    await create(a, NAME)
    await said(a, ID, "Hello there.", voice=NAME)
    async with a.http as http:
        spoken = await http.post(
            "/v1/audio/speech",
            json={"model": "csm", "input": "Hi.", "voice": NAME, "response_format": "pcm"},
            headers={"x-request-id": "the-request-1"},
        )
        assert spoken.status_code == 200, spoken.text
    asked = speech_pb2.GetConversationRequest(conversation_id=ID)
    for holder in (a, again):
        assert [t[2] for t in await turns_of(holder, ID)] == ["Hello there."]
        assert NAME in await names(holder)
        async with holder.http as http:
            told = (await http.get("/v1/audio/speech/the-request-1")).json()
            assert told["finish_reason"] == "eos"
            assert (await http.get(f"/v1/audio/voices/{NAME}")).status_code == 200
    assert await code_of(b.stub.GetConversation(asked)) is grpc.StatusCode.NOT_FOUND
    assert NAME not in await names(b)
    async with b.http as http:
        for path in ("speech/the-request-1", f"voices/{NAME}"):
            assert (await http.get(f"/v1/audio/{path}")).status_code == 404
        assert NAME not in (await http.get("/v1/audio/voices")).text
        # Of its own of the same id it is told, and A's stays.
        body = {"model": "csm", "input": "Hi.", "voice": "", "response_format": "pcm"}
        headers = {"x-request-id": "the-request-1"}
        assert (await http.post("/v1/audio/speech", json=body, headers=headers)).status_code == 200
        own = (await http.get("/v1/audio/speech/the-request-1")).json()
    async with again.http as http:
        assert (await http.get("/v1/audio/speech/the-request-1")).json() == told != own


@pytest.mark.parametrize("as_header", [True, False], ids=["header", "subprotocol"])
async def test_a_websocket_is_its_tenants(
    place: Secured, again: Caller, b: Caller, as_header: bool
) -> None:
    name = f"by-socket-{as_header}"
    await said(again, name, "Hello there.")

    async def turns_there(who: Caller) -> int:
        given: dict[str, Any] = {"subprotocols": ["csm.v1", f"csm.bearer.{who.token}"]}
        if as_header:
            given = {"additional_headers": {"authorization": f"Bearer {who.token}"}}
        url = f"wss://localhost:{place.http_port}/v1/conversations"
        async with websockets.connect(url, ssl=place.files.context(shows=False), **given) as socket:
            await socket.send(json.dumps({"type": "config", "conversation_id": name}))
            started = json.loads(await asyncio.wait_for(socket.recv(), 5))
            assert started["type"] == "started", started
            return int(started["num_turns"])

    assert (await turns_there(again), await turns_there(b)) == (1, 0)


async def test_a_broken_turn_goes_on_for_its_tenant_and_is_unknown_to_another(
    place: Secured, a: Caller, again: Caller, b: Caller
) -> None:
    place.stack.generator.frame_s = 0.05
    try:
        async with Conversation(a, conversation_id="broken") as call:
            await call.say("One two three four five six seven eight nine ten.")
            await call.end()
            turn = (await call.until("turn_started")).turn_id
            await call.until("audio", 3)
        await place.stack.settled()
    finally:
        place.stack.generator.frame_s = 0.0

    async def resumed(who: Caller, conversation_id: str) -> tuple[list[str], Any, str]:
        async with Conversation(who, conversation_id=conversation_id) as call:
            await call.send(resume=speech_pb2.ConverseResume(turn_id=turn, heard_ms=80))
            await call.say("One two three four five six seven eight nine ten.")
            await call.end()
            try:
                completed = await call.until("turn_completed")
            except AssertionError:
                completed = None
            told = str(call.error.details()) if call.error else ""
            return (
                call.order,
                completed and completed.finish_reason,
                told.replace("nobodys", "broken"),
            )

    stolen, unknown = await resumed(b, "broken"), await resumed(b, "nobodys")
    assert stolen == unknown
    order, reason, _ = await resumed(again, "broken")
    assert reason == EOS, order
    assert order != stolen[0]


async def test_a_turn_that_moves_to_another_backend_stays_its_tenants(
    place: Secured, a: Caller
) -> None:
    generator, first = place.stack.generator, len(place.stack.generator.streams)
    generator.fail_before_frame = {2: errors.Unavailable("gone")}
    call = await said(a, "moves", "One two three four.")
    assert call.all("turn_completed")[0].usage.failovers == 1
    streams, sent = generator.streams[first:], generator.metadata[first:]
    assert {s.config.conversation_id for s in streams} == {generator_key("a", "moves")}
    inner = f"Bearer {place.backend_token.read_text()}"
    assert all(one["authorization"] == inner for one in sent)
    assert all(set(scope_of("a")) <= set(one.items()) for one in sent)


async def test_what_a_client_says_to_the_services_behind_does_not_get_there(
    place: Secured, b: Caller
) -> None:
    (scope,) = scope_of("a")
    own = (scope, (AFFINITY_HEADER, "x" * 32), ("x-csm-anything", "1"))
    first = len(place.stack.generator.metadata)
    request = speech_pb2.SynthesizeRequest(text="One two.", conversation_id="of-b")
    async for _ in b.stub.Synthesize(request, metadata=own, timeout=10):
        pass
    (sent,) = place.stack.generator.metadata[first:]
    assert sent[scope[0]] == scope_of("b")[0][1] != scope[1]
    assert sent[AFFINITY_HEADER] != "x" * 32
    assert "x-csm-anything" not in sent
    assert place.stack.generator.streams[first].config.conversation_id == generator_key("b", "of-b")


async def test_the_commands_speak_with_a_token_over_tls(
    place: Secured,
    a: Caller,
    b: Caller,
    csm: Csm,  # noqa: F811
    tmp_path: Path,
) -> None:
    async def run(who: Caller, *command: object, **more: Any) -> Any:
        return await asyncio.to_thread(csm, *command, *who.options, **more)

    out = tmp_path / "out.wav"
    done = await run(a, "speak", "Hello there.", "-o", out)
    assert done.exit_code == 0, done.output
    assert out.stat().st_size > 1000
    done = await run(a, "chat", "--quiet", "-o", tmp_path / "chat.wav", input="Hello.\n")
    assert done.exit_code == 0, done.output
    with wave.open(str(tmp_path / "me.wav"), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(bytes(4 * 24_000))
    (tmp_path / "me.txt").write_text("My name is Anna.")
    done = await run(a, "voices", "add", "by-command", "-r", tmp_path / "me.wav")
    assert done.exit_code == 0, done.output
    assert "by-command" in (await run(a, "voices", "list")).output
    listed = await run(b, "voices", "list")
    assert listed.exit_code == 0
    assert "by-command" not in listed.output
    done = await run(b, "speak", "Hello.", "--voice", "by-command", "-o", tmp_path / "no.wav")
    assert done.exit_code != 0
    # Without the token, and without the authority.
    bare = ["--server", place.address]
    told = await asyncio.to_thread(csm, "speak", "Hi.", "-o", out, *bare, "--ca", place.files.ca)
    assert told.exit_code != 0
    assert "--token-file" in told.output
    told = await asyncio.to_thread(csm, "speak", "Hi.", "-o", out, *bare, "--token-file", a.file)
    assert told.exit_code != 0
    assert a.token not in told.output


async def test_scopes_bound_what_a_token_may(place: Secured) -> None:
    speaks = await place.caller("a", [Scope.SPEAK])
    admin = await place.caller("z", [Scope.ADMIN])
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert (await synthesize(speaks, "One.")).frames
    async with Conversation(speaks) as call:
        assert (await call.failed()).code() is denied
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await synthesize(speaks, "One.", conversation_id=ID)
    assert caught.value.code() is denied
    assert await code_of(create(speaks, "no")) is denied
    async with speaks.http as http:
        assert (await http.post("/v1/audio/voices", files={"a": b"x"})).status_code == 403
    # The operator may all, and has nothing of others.
    assert (await synthesize(admin, "One.")).frames
    await create(admin, "of-admin")
    asked = speech_pb2.GetConversationRequest(conversation_id=ID)
    assert await code_of(admin.stub.GetConversation(asked)) is grpc.StatusCode.NOT_FOUND
    assert NAME not in await names(admin)


async def test_a_call_outlives_its_token_and_a_new_one_does_not_begin(place: Secured) -> None:
    soon = await place.caller("a", expires_unix_s=time.time() + 2)
    gone = await place.caller("a")
    line = place.tokens.lines[gone.token]
    async with Conversation(soon) as expiring, Conversation(gone) as revoked:
        await expiring.until("started")
        await revoked.until("started")
        place.tokens.revoke(gone.token)
        await place.watch.look()
        while time.time() < soon_s(place, soon):
            await asyncio.sleep(0.05)
        for who in (soon, gone):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await synthesize(who, "One.")
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            async with who.http as http:
                assert (await http.get("/v1/models")).status_code == 401
        for call in (expiring, revoked):
            await call.say("Still here.")
            await call.end()
            assert (await call.until("turn_completed")).finish_reason == EOS
    place.tokens.lines[gone.token] = line
    place.tokens.write()
    await place.watch.look()
    assert (await synthesize(gone, "One.")).frames


def soon_s(place: Secured, who: Caller) -> float:
    """When a token expires."""
    found = place.watch.value.get(who.token)
    assert found is not None
    return float(found.expires_unix_s)
