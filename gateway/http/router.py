"""Which route a request goes to, and what is raised where none takes it."""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import Receive, Scope, Send


class PathRouter(Router):
    """Raises `HTTPException`: 404 for a path without a route, of a WebSocket too; 405 for a method
    that no route of the path takes."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        super().__init__(routes, redirect_slashes=False)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one WebSocket."""
        try:
            await super().app(scope, receive, send)
        except HTTPException as error:
            if error.status_code != 405:
                raise
            # Starlette tells those of the first route of the path alone.
            allow = ", ".join(sorted(self._methods(scope)))
            raise HTTPException(405, error.detail, {"Allow": allow}) from None

    async def not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starlette closes a WebSocket here, which its client sees as a 403 that says nothing."""
        raise HTTPException(404)

    def _methods(self, scope: Scope) -> set[str]:
        """All that the path of a request may be asked with."""
        found: set[str] = set()
        for route in self.routes:
            if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
                found |= route.methods or set()
        return found
