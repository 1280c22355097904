"""A gateway as an operator runs it: TLS and tokens on every port, the two services' too."""

import contextlib
import functools
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import grpc
import httpx

from csm.serving.auth.identity import Scope
from csm.v1 import speech_pb2_grpc
from tests.certificates import Certificates
from tests.csm.serving.auth.cases import Tokens
from tests.gateway.fakes import Stack

USER = (Scope.SPEAK, Scope.CONVERSE, Scope.VOICES_WRITE)


class Caller:
    """A stack as the holder of one token sees it; `stub` and `http` show it."""

    def __init__(self, secured: "Secured", token: str, owner: str) -> None:
        self.secured, self.token, self.owner = secured, token, owner
        self.file = secured.folder / f"{abs(hash(token))}.token"
        self.file.write_text(token + "\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.secured.stack, name)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)

    @property
    def stub(self) -> Any:
        return _Stub(self.secured.stub, self.metadata)

    @property
    def http(self) -> httpx.AsyncClient:
        return self.secured.http(authorization=f"Bearer {self.token}")

    @property
    def options(self) -> list[str]:
        """Of a command of `csm`."""
        given = ["--server", self.secured.address, "--ca", str(self.secured.files.ca)]
        return [*given, "--token-file", str(self.file)]


class _Stub:
    def __init__(self, stub: Any, metadata: Any) -> None:
        self._stub, self._metadata = stub, metadata

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._stub, name)

        def made(*arguments: Any, metadata: Any = (), **options: Any) -> Any:
            return call(*arguments, metadata=(*self._metadata, *metadata), **options)

        return functools.wraps(type(self).__getattr__)(made)


class Secured:
    """The running whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = Certificates(folder / "certificates")
        self.tokens = Tokens(folder / "tokens")
        self.inner = Tokens(folder / "inner")
        self.backend_token = folder / "gateway.token"
        self.backend_token.write_text(self.inner.of([Scope.ADMIN], name="gateway"))
        self.stack = Stack()

    async def up(self, **settings: Any) -> None:
        tls = self.files.settings()
        for backend in (self.stack.generator, self.stack.tokenizer):
            backend.settings = {"auth_tokens_file": self.inner.path, **tls}
        await self.stack.up(
            http_port=0,
            auth_tokens_file=self.tokens.path,
            backend_token_file=self.backend_token,
            backend_ca=self.files.ca,
            **tls,
            **settings,
        )
        credentials = grpc.ssl_channel_credentials(self.files.ca.read_bytes())
        self.channel = grpc.aio.secure_channel(self.address, credentials)
        self.stub = speech_pb2_grpc.SpeechServiceStub(self.channel)

    async def down(self) -> None:
        await self.channel.close()
        await self.stack.down()

    @property
    def address(self) -> str:
        return self.stack.host.address

    @property
    def http_port(self) -> int:
        assert self.stack.service.door is not None
        return self.stack.service.door.port

    def http(self, **headers: str) -> httpx.AsyncClient:
        """A client of HTTP that trusts the gateway."""
        url = f"https://localhost:{self.http_port}"
        verify = self.files.context(shows=False)
        return httpx.AsyncClient(base_url=url, verify=verify, headers=headers, timeout=20)

    @property
    def watch(self) -> Any:
        """The gateway's file of tokens, as it is followed."""
        authenticator = self.stack.host._authenticator
        assert authenticator is not None
        assert authenticator._tokens is not None
        return authenticator._tokens

    async def caller(
        self, tenant: str, scopes: Iterable[Scope] = USER, expires_unix_s: float | None = None
    ) -> Caller:
        """Who holds a new token of a tenant's, known by now."""
        token = self.tokens.of(scopes, tenant=tenant, expires_unix_s=expires_unix_s)
        await self.watch.look()
        assert self.watch.value.get(token)
        return Caller(self, token, tenant)


@contextlib.asynccontextmanager
async def secured(folder: Path, **settings: Any) -> AsyncIterator[Secured]:
    """A gateway with TLS and tokens."""
    one = Secured(folder)
    await one.up(**settings)
    try:
        yield one
    finally:
        await one.down()
