"""One certificate has the same names whichever way it comes, and none that it has not."""

import asyncio
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from csm.serving.auth.certificates import (
    CertificateTable,
    names_of_call,
    names_of_ssl,
    parse_certificates,
)
from csm.v1 import generator_pb2, generator_pb2_grpc
from tests.csm.serving.auth.own_certificates import Authority

TABLE: CertificateTable = parse_certificates(
    b'{"common_name": "bot", "name": "bot", "scopes": ["speak"]}\n'
    b'{"alternative_name": "::1", "name": "six", "scopes": ["speak"]}\n'
)
DNS, URI, IP, MAIL = x509.DNSName, x509.UniformResourceIdentifier, x509.IPAddress, x509.RFC822Name


class Names(generator_pb2_grpc.GeneratorServiceServicer):
    def __init__(self) -> None:
        self.seen: Any = None

    async def GetModelInfo(self, request: Any, context: Any) -> Any:
        self.seen = names_of_call(context.auth_context())
        return generator_pb2.GetModelInfoResponse()


def pair(authority: Authority, folder: Path, common: list[str], alternative: list[Any]) -> Any:
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, one, _validate=False) for one in common]
    )
    return authority.issue(name, alternative, folder / "client")


async def names_by_grpc(authority: Authority, server: Any, client: Any) -> Any:
    names, running = Names(), grpc.aio.server()
    generator_pb2_grpc.add_GeneratorServiceServicer_to_server(names, running)
    certificate, key = (path.read_bytes() for path in server)
    port = running.add_secure_port(
        "127.0.0.1:0",
        grpc.ssl_server_credentials([(key, certificate)], authority.pem, require_client_auth=True),
    )
    await running.start()
    shown, its_key = (path.read_bytes() for path in client)
    credentials = grpc.ssl_channel_credentials(authority.pem, its_key, shown)
    try:
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            stub = generator_pb2_grpc.GeneratorServiceStub(channel)
            await stub.GetModelInfo(generator_pb2.GetModelInfoRequest(), timeout=10)
    finally:
        await running.stop(0)
    return names.seen


async def names_by_http(authority: Authority, server: Any, client: Any) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server)
    context.load_verify_locations(cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    seen: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def connected(reader: Any, writer: asyncio.StreamWriter) -> None:
        seen.set_result(names_of_ssl(writer.get_extra_info("ssl_object")))
        writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    its = ssl.create_default_context(cadata=authority.pem.decode())
    its.load_cert_chain(*client)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=its, server_hostname="localhost"
        )
        await reader.read()
        writer.close()
        return await asyncio.wait_for(seen, 5)


@pytest.mark.parametrize(
    ("common", "alternative", "who"),
    [
        (["bot"], [], "bot"),
        (["nobody", "bot"], [], None),
        (["bot", "nobody"], [], None),
        (["bot", "bot"], [], None),
        ([], [DNS("bot")], None),
        ([""], [], None),
        (["nobody"], [IP(ipaddress.ip_address("::1"))], "six"),
        (["nobody"], [IP(ipaddress.ip_address("127.0.0.1")), DNS("a"), URI("spiffe://a/b")], None),
        # Nothing in a name ends it, or makes two of it.
        (["bot\x00.example"], [], None),
        (["nobody"], [DNS("::1\x00a"), URI("::1\x00")], None),
        (["nobody/CN=bot"], [DNS("a, DNS:bot")], None),
        (["nobody"], [MAIL("bot@example"), DNS("::1\n")], None),
        (["bötchen"], [], None),
    ],
)
async def test_names_are_the_same_by_both_ways_in(
    tmp_path: Path, common: list[str], alternative: list[Any], who: str | None
) -> None:
    authority = Authority("an authority")
    server = authority.pair(tmp_path, "server", dns="localhost")
    client = pair(authority, tmp_path, common, alternative)
    by_grpc = await names_by_grpc(authority, server, client)
    by_http = await names_by_http(authority, server, client)
    assert by_http == by_grpc
    for names in (by_grpc, by_http):
        found = TABLE.get(names)
        assert (found.name if found else None) == who
