"""Subjects of client certificates, over grpc.aio and over Python's ssl."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest

from csm import errors
from csm.serving.auth.authenticator import Authenticator
from csm.serving.auth.certificates import names_of_call, names_of_ssl, parse_certificates
from csm.serving.auth.identity import Principal, Scope, current
from csm.serving.auth.rpc_guard import RpcGuard
from csm.serving.auth.rules import one_of
from csm.serving.auth.token_file import parse_tokens
from csm.serving.auth.watched_file import WatchedFile
from csm.serving.metrics import Metrics
from csm.serving.rpc.interceptor import RpcInterceptor
from csm.v1 import generator_pb2, generator_pb2_grpc
from tests.csm.serving.auth.cases import Tokens
from tests.csm.serving.auth.own_certificates import Authority

MAP = b"""
# whose certificates may call
{"common_name": "gateway", "name": "gateway", "scopes": ["admin"]}
{"alternative_name": "spiffe://acme/bot", "name": "bot", "tenant": "acme", "scopes": ["speak"]}
"""
BOT = Principal("bot", "acme", frozenset({Scope.SPEAK}))


def test_the_first_name_that_is_known_decides() -> None:
    table = parse_certificates(MAP)
    common, alternative = ("common_name", "gateway"), ("alternative_name", "spiffe://acme/bot")
    assert table.get([alternative, common]) == BOT
    assert table.get([("alternative_name", "x"), common]) == Principal(
        "gateway", "gateway", frozenset({Scope.ADMIN})
    )
    # A name is of its kind: an alternative name is no common name.
    assert table.get([("alternative_name", "gateway")]) is None
    assert table.get([]) is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"name": "a", "scopes": []}', "one of common_name and alternative_name"),
        (b'{"common_name": "a", "alternative_name": "b", "name": "a", "scopes": []}', "one of"),
        (b'{"common_name": "", "name": "a", "scopes": []}', "one of common_name"),
        (b'{"common_name": 1, "name": "a", "scopes": []}', "one of common_name"),
        (b'{"subject": "a", "name": "a", "scopes": []}', "subject: not known"),
        (b'{"common_name": "a", "name": "a", "scopes": []}\n' * 2, "line 2: common_name: another"),
    ],
)
def test_a_wrong_line_is_named(line: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=r"line \d: ") as caught:
        parse_certificates(line)
    assert told in str(caught.value)


class Servicer(generator_pb2_grpc.GeneratorServiceServicer):
    async def GetModelInfo(self, request: Any, context: Any) -> Any:
        who = current.get()
        return generator_pb2.GetModelInfoResponse(model=f"{who.name} of {who.tenant}")


class Served:
    """A grpc.aio server that asks for client certificates, behind the guard."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority("an authority")
        (folder / "map").write_bytes(MAP)
        self.tokens = Tokens(folder / "tokens")
        self.token = self.tokens.of([Scope.SPEAK], name="alice")
        authenticator = Authenticator(
            Metrics().server,
            WatchedFile("auth_tokens_file", folder / "tokens", parse_tokens),
            None,
            WatchedFile("auth_certificates", folder / "map", parse_certificates),
        )
        guard = RpcGuard(authenticator, {"GetModelInfo": one_of(Scope.SPEAK)})
        interceptor = RpcInterceptor(Metrics().server, lambda: None, 10, guard=guard)
        self.server = grpc.aio.server(interceptors=[interceptor])
        generator_pb2_grpc.add_GeneratorServiceServicer_to_server(Servicer(), self.server)
        certificate, key = self.authority.pair(folder, "server", dns="localhost")
        self.port = self.server.add_secure_port(
            "127.0.0.1:0",
            grpc.ssl_server_credentials(
                [(key.read_bytes(), certificate.read_bytes())],
                root_certificates=self.authority.pem,
                require_client_auth=True,
            ),
        )

    async def ask(self, pair: Any, **options: Any) -> str:
        certificate, key = pair
        credentials = grpc.ssl_channel_credentials(
            self.authority.pem, key.read_bytes(), certificate.read_bytes()
        )
        async with grpc.aio.secure_channel(f"localhost:{self.port}", credentials) as channel:
            stub = generator_pb2_grpc.GeneratorServiceStub(channel)
            answer = await stub.GetModelInfo(
                generator_pb2.GetModelInfoRequest(), timeout=10, **options
            )
            return answer.model


async def test_the_subject_of_a_client_certificate_is_the_caller_of_an_rpc(tmp_path: Path) -> None:
    served = Served(tmp_path)
    await served.server.start()
    pair = served.authority.pair
    try:
        assert await served.ask(pair(tmp_path, "gateway")) == "gateway of gateway"
        bot = pair(tmp_path, "x", uri="spiffe://acme/bot")
        assert await served.ask(bot) == "bot of acme"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.ask(pair(tmp_path, "nobody"))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        # A token goes before the certificate, and a wrong one is not made good by it.
        bearer = (("authorization", f"Bearer {served.token}"),)
        assert await served.ask(bot, metadata=bearer) == "alice of acme"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.ask(bot, metadata=(("authorization", "Bearer csm_wrong"),))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        # Of another authority nobody gets as far as a call.
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.ask(Authority("another").pair(tmp_path, "gateway"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        await served.server.stop(0)


async def test_no_certificate_is_no_caller() -> None:
    authenticator = Authenticator(Metrics().server)
    with pytest.raises(errors.Unauthenticated):
        await authenticator.admit(one_of(Scope.SPEAK), (), lambda: names_of_call({}))
    assert names_of_ssl(None) == ()


async def test_names_are_read_from_the_ssl_of_an_http_connection(tmp_path: Path) -> None:
    authority = Authority("an authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.pair(tmp_path, "server", dns="localhost"))
    context.load_verify_locations(cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    seen: asyncio.Queue[Any] = asyncio.Queue()

    async def connected(reader: Any, writer: asyncio.StreamWriter) -> None:
        seen.put_nowait(names_of_ssl(writer.get_extra_info("ssl_object")))
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    plain = ssl.create_default_context(cadata=authority.pem.decode())
    shown = ssl.create_default_context(cadata=authority.pem.decode())
    shown.load_cert_chain(*authority.pair(tmp_path, "bot", uri="spiffe://acme/bot"))
    names: list[Any] = []
    for client in (plain, shown):
        _, writer = await asyncio.open_connection("localhost", port, ssl=client)
        names.append(await asyncio.wait_for(seen.get(), 10))
        writer.close()
    server.close()
    assert names == [(), (("alternative_name", "spiffe://acme/bot"), ("common_name", "bot"))]
    assert parse_certificates(MAP).get(names[1]) == BOT
