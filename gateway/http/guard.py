"""The rules of the HTTP routes, asked with what a request says of who makes it."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from csm.serving.auth.authenticator import Authenticator
from csm.serving.auth.certificates import CertificateName, names_of_ssl
from csm.serving.auth.rules import Access, Rule
from gateway.http.connection import transport_of

SOCKET_PROTOCOL = "csm.v1"
"""The subprotocol that a WebSocket speaks, where its client names any."""
SOCKET_TOKEN = "csm.bearer."
"""Begins a subprotocol that is a token: a page in a browser can set no header of a WebSocket."""


def guard(routes: Sequence[BaseRoute], access: Access, authenticator: Authenticator | None) -> None:
    """Puts each route behind its rule. Raises LookupError for a route that has none."""
    for route in routes:
        if isinstance(route, Route | WebSocketRoute):
            rule = access[rule_name(route)]
            if authenticator is not None:
                route.app = _Guarded(route.app, rule, authenticator)


def rule_name(route: Route | WebSocketRoute) -> str:
    """How the table of rules calls a route: `GET /v1/models`, `WS /v1/conversations`."""
    if isinstance(route, WebSocketRoute):
        return f"WS {route.path}"
    (method,) = (route.methods or {"GET"}) - {"HEAD"}
    return f"{method} {route.path}"


class _Guarded:
    def __init__(self, app: ASGIApp, rule: Rule, authenticator: Authenticator) -> None:
        self._app, self._rule, self._authenticator = app, rule, authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        def names() -> Sequence[CertificateName]:
            transport = transport_of(scope)
            return names_of_ssl(transport and transport.get_extra_info("ssl_object"))

        await self._authenticator.admit(self._rule, _authorization(scope), names)
        await self._app(scope, receive, send)


def _authorization(scope: Scope) -> list[str]:
    headers = Headers(scope=scope)
    given = headers.getlist("authorization")
    if scope["type"] == "websocket":
        offered = scope.get("subprotocols", ())
        given += [
            f"Bearer {one.removeprefix(SOCKET_TOKEN)}"
            for one in offered
            if one.startswith(SOCKET_TOKEN)
        ]
    return given


def chosen_subprotocol(offered: Sequence[str]) -> str | None:
    """What a handshake answers: never the token."""
    return SOCKET_PROTOCOL if SOCKET_PROTOCOL in offered else None
