"""Every RPC of every service, and every route, has a rule, and keeps to it.

The walk is over the descriptors and over the application's own routes: what is added without a rule
fails here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from csm.serving.auth.identity import Scope
from csm.serving.auth.rules import ADMIN, PUBLIC, Access, Rule
from csm.serving.auth.token_file import new_token
from csm.serving.calls.recorder import CallRecorder
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings
from csm.v1 import (
    generator_pb2,
    generator_pb2_grpc,
    speech_pb2,
    speech_pb2_grpc,
    tokenizer_pb2,
    tokenizer_pb2_grpc,
)
from gateway import access as gateway_access
from gateway.http import app as http_app
from gateway.http.guard import rule_name
from services.generator import access as generator_access
from services.tokenizer import access as tokenizer_access
from tests.csm.serving.auth.cases import Tokens
from tests.gateway.fakes import FakeGenerator, FakeTokenizer, Stack, stack

SERVICES = {
    "SpeechService": (speech_pb2, speech_pb2_grpc, gateway_access.RPCS),
    "TokenizerService": (tokenizer_pb2, tokenizer_pb2_grpc, tokenizer_access.RPCS),
    "GeneratorService": (generator_pb2, generator_pb2_grpc, generator_access.RPCS),
}
REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
Metadata = tuple[tuple[str, Any], ...]


def rpcs() -> Iterator[tuple[str, Any]]:
    """Service and method of all that the project defines."""
    for service, (module, _, _) in SERVICES.items():
        for method in module.DESCRIPTOR.services_by_name[service].methods:
            yield service, method


def test_no_service_is_forgotten() -> None:
    found = {
        name
        for module in (speech_pb2, tokenizer_pb2, generator_pb2)
        for name in module.DESCRIPTOR.services_by_name
    }
    assert found == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_each_rpc_has_a_rule_and_each_rule_an_rpc(service: str) -> None:
    module, _, access = SERVICES[service]
    assert {m.name for m in module.DESCRIPTOR.services_by_name[service].methods} == set(access)
    # All that is of ours needs a credential; what needs none are probes.
    assert all(rule for rule in access.values())


def test_each_route_has_a_rule_and_each_rule_a_route(routes: dict[str, Any]) -> None:
    assert set(routes) == set(gateway_access.ROUTES)
    public = {name for name, rule in gateway_access.ROUTES.items() if rule is PUBLIC}
    assert public == {
        "GET /openapi.json", "GET /healthz", "GET /readyz", "GET /", "GET /playground/{file}"
    }  # fmt: skip


def test_a_route_without_a_rule_does_not_start() -> None:
    async def new(request: Any) -> None: ...

    with pytest.raises(LookupError):
        http_app.guard([Route("/v1/new", new)], gateway_access.ROUTES, None)


@pytest.fixture(scope="module")
def routes() -> dict[str, Any]:
    """Those of the application itself, by the name of their rule."""
    found: dict[str, Any] = {}

    def noted(routes: Any, *_: Any) -> None:
        found.update({rule_name(r): r for r in routes if isinstance(r, Route | WebSocketRoute)})

    class Speech:
        settings = None
        backends = voices = texts = keeper = store = None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_app, "guard", noted)
        speech: Any = Speech()
        from gateway.settings import GatewaySettings

        speech.settings = GatewaySettings()
        http_app.make_app(speech, None, lambda: None, lambda: None, CallRecorder())  # type: ignore
    return found


class Guarded:
    """The three services, each with tokens; the two fakes behind the gateway's rules too."""

    def __init__(self, stack: Stack, tokens: Tokens, hosts: dict[str, Host]) -> None:
        self.stack, self.tokens, self.hosts = stack, tokens, hosts
        self.revoked = tokens.of(Scope)
        self.expired = tokens.of(Scope, expires_unix_s=time.time() - 5)
        self.all = {scope: tokens.of([scope]) for scope in Scope}
        self.nothing = tokens.of([])

    def of(self, scopes: Any) -> str:
        """A token with just these scopes."""
        for token, line in self.tokens.lines.items():
            if set(line["scopes"]) == set(scopes) and token not in (self.revoked, self.expired):  # type: ignore[call-overload]
                return token
        return self.tokens.of(scopes)

    def right(self, rule: Rule) -> str:
        """One that has of all scopes one that suffices."""
        return self.all[sorted(rule or ())[0]]

    def too_few(self, rule: Rule) -> str:
        """One that has every scope but those that suffice."""
        return self.of([s for s in Scope if s not in (rule or ()) and s is not Scope.ADMIN])

    async def known(self) -> None:
        """All services have read the file as it is now."""
        for host in self.hosts.values():
            assert host._authenticator is not None
            assert host._authenticator._tokens is not None
            await host._authenticator._tokens.look()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    folder = tmp_path_factory.mktemp("access")
    tokens = Tokens(folder / "tokens")
    (folder / "backend").write_text(tokens.of([Scope.ADMIN], name="gateway") + "\n")
    hosts: dict[str, Host] = {}

    async def up(self: Any) -> None:
        settings = ServiceSettings(auth_tokens_file=tokens.path)
        self.access = SERVICES[self.name.rpartition(".")[2]][2]
        self.host = hosts[self.name] = Host(self, settings, Metrics())
        await self.host.start()
        self.port = self.host.port

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeGenerator, "up", up)
        patch.setattr(FakeTokenizer, "up", up)
        async with stack(
            http_port=0, auth_tokens_file=tokens.path, backend_token_file=folder / "backend"
        ) as one:
            hosts["csm.v1.SpeechService"] = one.host
            guarded = Guarded(one, tokens, hosts)
            for rule in {r for _, (_, _, access) in SERVICES.items() for r in access.values()}:
                guarded.too_few(rule)
            await guarded.known()
            tokens.revoke(guarded.revoked)
            await guarded.known()
            yield guarded


async def outcome(guarded: Guarded, service: str, method: Any, metadata: Metadata) -> Any:
    """The status that a call ends with, or OK where it begins to answer."""
    address = guarded.hosts[f"csm.v1.{service}"].address
    _, stubs, _ = SERVICES[service]
    async with grpc.aio.insecure_channel(address) as channel:
        stub = getattr(getattr(stubs, f"{service}Stub")(channel), method.name)
        request = getattr(SERVICES[service][0], method.input_type.name)()

        async def requests() -> AsyncIterator[Any]:
            yield request

        given = requests() if method.client_streaming else request
        call = stub(given, metadata=metadata, timeout=10)
        try:
            if method.server_streaming:
                await call.read()
            else:
                await call
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("service", "method"), [pytest.param(s, m, id=f"{s}.{m.name}") for s, m in rpcs()]
)
async def test_every_rpc_asks_who_calls(guarded: Guarded, service: str, method: Any) -> None:
    rule = SERVICES[service][2][method.name]
    assert rule is not None
    unauthenticated: dict[str, Metadata] = {
        "none": (),
        "wrong": bearer(new_token()),
        "expired": bearer(guarded.expired),
        "revoked": bearer(guarded.revoked),
        "scheme": (("authorization", f"Basic {guarded.right(rule)}"),),
        "bare": (("authorization", guarded.right(rule)),),
        "twice": bearer(guarded.right(rule)) * 2,
        "another key": (("x-api-key", guarded.right(rule)),),
    }
    for what, metadata in unauthenticated.items():
        found = await outcome(guarded, service, method, metadata)
        assert found is grpc.StatusCode.UNAUTHENTICATED, what
    for token in (guarded.too_few(rule), guarded.nothing):
        found = await outcome(guarded, service, method, bearer(token))
        assert found is grpc.StatusCode.PERMISSION_DENIED
    for token in (guarded.right(rule), guarded.all[Scope.ADMIN]):
        assert await outcome(guarded, service, method, bearer(token)) not in REFUSED


def request_for(name: str) -> tuple[str, str]:
    """Method and path of a route by the name of its rule."""
    method, _, path = name.partition(" ")
    for parameter in ("request_id", "name", "model"):
        path = path.replace(f"{{{parameter}}}", "x")
    return method, path.replace("{file}", "app.js")


HTTP_ROUTES = [name for name in gateway_access.ROUTES if not name.startswith("WS ")]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", HTTP_ROUTES)
async def test_every_route_asks_who_calls(guarded: Guarded, name: str) -> None:
    rule = gateway_access.ROUTES[name]
    method, path = request_for(name)
    async with httpx.AsyncClient(base_url=guarded.stack.http, timeout=20) as client:
        if rule is PUBLIC:
            for headers in ({}, {"authorization": "Bearer nonsense"}):
                assert (await client.request(method, path, headers=headers)).status_code == 200
            return
        right = guarded.right(rule)
        cases: dict[str, Any] = {
            "none": [],
            "wrong": [("authorization", f"Bearer {new_token()}")],
            "expired": [("authorization", f"Bearer {guarded.expired}")],
            "revoked": [("authorization", f"Bearer {guarded.revoked}")],
            "scheme": [("authorization", f"Basic {right}")],
            "bare": [("authorization", right)],
            "twice": [("authorization", f"Bearer {right}")] * 2,
            "in the path": [],
        }
        for what, headers in cases.items():
            asked = f"{path}?token={right}" if what == "in the path" else path
            answer = await client.request(method, asked, headers=headers)
            assert answer.status_code == 401, what
            challenge = answer.headers["www-authenticate"]
            assert challenge.startswith('Bearer realm="csm"')
            assert ('error="invalid_token"' in challenge) == bool(headers)
            assert answer.json()["error"]["code"] == "unauthenticated"
            assert right not in answer.text
        for token in (guarded.too_few(rule), guarded.nothing):
            answer = await client.request(method, path, headers=dict(bearer(token)))
            assert answer.status_code == 403
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
            assert sorted(rule)[0] in answer.headers["www-authenticate"]
        for token in (right, guarded.all[Scope.ADMIN]):
            answer = await client.request(method, path, headers=dict(bearer(token)))
            assert answer.status_code not in (401, 403)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_body_is_not_read_of_who_may_not_send_it(guarded: Guarded) -> None:
    assert guarded.stack.service.door is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.stack.service.door.port)
    # It declares a body and sends none: whoever read it would wait.
    writer.write(b"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in head.lower()
    writer.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_stream_is_refused_before_its_first_message(guarded: Guarded) -> None:
    async with grpc.aio.insecure_channel(guarded.stack.host.address) as channel:
        call = speech_pb2_grpc.SpeechServiceStub(channel).Converse(timeout=5)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.asyncio(loop_scope="module")
async def test_a_websocket_is_refused_before_it_is_one(guarded: Guarded) -> None:
    url = guarded.stack.http.replace("http", "ws") + "/v1/conversations"
    rule = gateway_access.ROUTES["WS /v1/conversations"]
    right = guarded.right(rule)

    async def status(token: str = "", protocols: Any = None, **headers: str) -> int:
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        try:
            async with connect(url, additional_headers=headers, subprotocols=protocols) as socket:
                await socket.send('{"type": "config"}')
                assert '"started"' in str(await asyncio.wait_for(socket.recv(), 5))
                # Never the one that is the token.
                assert socket.subprotocol == ("csm.v1" if protocols else None)
                return 101
        except InvalidStatus as refused:
            asked = "www-authenticate" in refused.response.headers
            return refused.response.status_code if asked else 0

    def offered(*tokens: str) -> list[str]:
        return ["csm.v1", *(f"csm.bearer.{token}" for token in tokens)]

    for token in (new_token(), guarded.expired, guarded.revoked):
        assert await status(token) == 401
        assert await status(protocols=offered(token)) == 401
    assert await status() == 401
    assert await status(authorization=f"Basic {right}") == 401
    assert await status(protocols=["csm.v1"]) == 401
    assert await status(right, offered(right)) == 401  # two credentials
    assert await status(protocols=offered(right, right)) == 401
    for token in (guarded.too_few(rule), guarded.nothing):
        assert await status(token) == 403
        assert await status(protocols=offered(token)) == 403
    for token in (right, guarded.all[Scope.ADMIN]):
        assert await status(token) == 101
        assert await status(protocols=offered(token)) == 101


@pytest.mark.asyncio(loop_scope="module")
async def test_probes_need_no_credential_and_reflection_is_the_operators(guarded: Guarded) -> None:
    for name, host in guarded.hosts.items():
        async with grpc.aio.insecure_channel(host.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for metadata in ((), bearer("nonsense")):
                answer = await health.Check(
                    health_pb2.HealthCheckRequest(service=name), metadata=metadata
                )
                assert answer.status == health_pb2.HealthCheckResponse.SERVING

            async def reflected(metadata: Metadata, channel: Any = channel) -> Any:
                stub = reflection_pb2_grpc.ServerReflectionStub(channel)
                asked = reflection_pb2.ServerReflectionRequest(list_services="")
                call = stub.ServerReflectionInfo(metadata=metadata, timeout=5)
                await call.write(asked)
                await call.done_writing()
                try:
                    return await call.read()
                except grpc.aio.AioRpcError as error:
                    return error.code()

            assert await reflected(()) is grpc.StatusCode.UNAUTHENTICATED
            speaking = bearer(guarded.all[Scope.SPEAK])
            assert await reflected(speaking) is grpc.StatusCode.PERMISSION_DENIED
            listed = await reflected(bearer(guarded.all[Scope.ADMIN]))
            assert name in [one.name for one in listed.list_services_response.service]


@pytest.mark.asyncio(loop_scope="module")
async def test_to_speak_into_a_conversation_needs_more_than_to_speak(guarded: Guarded) -> None:
    both = guarded.tokens.of([Scope.SPEAK, Scope.CONVERSE])
    await guarded.known()
    async with grpc.aio.insecure_channel(guarded.stack.host.address) as channel:
        stub = speech_pb2_grpc.SpeechServiceStub(channel)
        for conversation_id, token, code in (
            ("", guarded.all[Scope.SPEAK], None),
            ("c", guarded.all[Scope.SPEAK], grpc.StatusCode.PERMISSION_DENIED),
            ("c", both, None),
        ):
            request = speech_pb2.SynthesizeRequest(text="Hi.", conversation_id=conversation_id)
            call = stub.Synthesize(request, metadata=bearer(token), timeout=10)
            try:
                assert [answer async for answer in call]
                found = None
            except grpc.aio.AioRpcError as error:
                found = error.code()
            assert found is code
    async with httpx.AsyncClient(base_url=guarded.stack.http, timeout=20) as client:
        body = {"input": "Hi.", "response_format": "pcm", "csm": {"conversation_id": "c"}}
        answer = await client.post(
            "/v1/audio/speech", json=body, headers=dict(bearer(guarded.all[Scope.SPEAK]))
        )
        assert answer.status_code == 403


@pytest.mark.asyncio(loop_scope="module")
async def test_a_call_under_way_goes_on_when_its_token_is_revoked(guarded: Guarded) -> None:
    token = guarded.tokens.of([Scope.CONVERSE])
    await guarded.known()
    url = guarded.stack.http.replace("http", "ws") + "/v1/conversations"
    headers = {"authorization": f"Bearer {token}"}
    async with connect(url, additional_headers=headers) as socket:
        await socket.send('{"type": "config"}')
        await socket.recv()
        async with grpc.aio.insecure_channel(guarded.stack.host.address) as channel:
            stub = speech_pb2_grpc.SpeechServiceStub(channel)
            call = stub.Converse(metadata=bearer(token), timeout=20)
            config = speech_pb2.ConverseRequest(config=speech_pb2.ConverseConfig())
            await call.write(config)
            assert (await call.read()).WhichOneof("response") == "started"
            guarded.tokens.revoke(token)
            await guarded.known()
            await call.write(speech_pb2.ConverseRequest(text=speech_pb2.ConverseText(text="Hi.")))
            await call.write(speech_pb2.ConverseRequest(end_of_turn=speech_pb2.ConverseEndOfTurn()))
            assert (await call.read()).WhichOneof("response") == "turn_started"
            call.cancel()
            again = stub.Converse(metadata=bearer(token), timeout=20)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await again.read()
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await socket.send('{"type": "ping"}')
        try:
            assert "pong" in str(await asyncio.wait_for(socket.recv(), 5))
        except ConnectionClosed:
            raise AssertionError("the conversation was ended") from None


def test_a_rule_that_nobody_wrote_is_the_operators() -> None:
    from csm.serving.auth.authenticator import Authenticator
    from csm.serving.auth.rpc_guard import RpcGuard

    none: Access = {}
    guard = RpcGuard(Authenticator(Metrics().server), none)
    assert guard.rule_of("csm.v1.SpeechService", "New") is ADMIN
