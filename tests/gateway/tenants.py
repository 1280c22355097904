"""A gateway whose callers say which tenant they are, as if a credential had said so."""

import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote, unquote

import grpc
import pytest
from starlette.datastructures import Headers

import gateway.http.app
import gateway.service
from csm.serving.auth import identity
from csm.v1 import speech_pb2
from gateway.servicer import SpeechServicer
from tests.gateway.fakes import Stack, stack

HEADER = "x-test-tenant"
RPCS = tuple(speech_pb2.DESCRIPTOR.services_by_name["SpeechService"].methods_by_name)


def principal(tenant: str) -> identity.Principal:
    return identity.Principal(f"who of {tenant}", tenant, frozenset(identity.Scope))


def _identify(tenant: str) -> None:
    if tenant:
        identity.current.set(principal(unquote(tenant)))


class IdentifiedServicer(SpeechServicer):
    """Takes the tenant from metadata, where the real one takes it from a credential."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for name in RPCS:
            setattr(self, name, _identified(getattr(self, name)))


def _identified(handler: Any) -> Any:
    def tenant(context: grpc.aio.ServicerContext) -> str:
        return str(dict(context.invocation_metadata() or ()).get(HEADER, ""))

    async def unary(request: Any, context: Any) -> Any:
        _identify(tenant(context))
        return await handler(request, context)

    async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
        _identify(tenant(context))
        async with contextlib.aclosing(handler(request, context)) as answers:
            async for answer in answers:
                yield answer

    return stream if inspect.isasyncgenfunction(handler) else unary


def identified_guard(routes: Sequence[Any], *_: Any) -> None:
    """As `guard`, which takes the tenant from a credential: from a header."""

    def identified(app: Any) -> Any:
        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            _identify(Headers(scope=scope).get(HEADER, ""))
            await app(scope, receive, send)

        return asgi

    for route in routes:
        route.app = identified(route.app)


class Tenant:
    """A stack as one tenant sees it."""

    def __init__(self, stack: Stack, owner: str) -> None:
        self.stack, self.owner = stack, owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stack, name)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return ((HEADER, quote(self.owner, safe="")),)

    @property
    def stub(self) -> Any:
        return _Stub(self)


def as_tenant(running: Stack, owner: str) -> Any:
    """A stack as one tenant sees it, for what takes a stack."""
    return Tenant(running, owner)


class _Stub:
    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._tenant.stack.stub, name)
        return functools.partial(call, metadata=self._tenant.metadata)


@contextlib.asynccontextmanager
async def identified_stack(**settings: Any) -> AsyncIterator[Stack]:
    """A stack that asks who calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway.service, "SpeechServicer", IdentifiedServicer)
        patch.setattr(gateway.http.app, "guard", identified_guard)
        async with stack(**settings) as one:
            yield one
