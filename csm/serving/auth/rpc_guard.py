"""The rules of a service's RPCs, asked with what gRPC knows of a caller."""

from collections.abc import Awaitable, Callable

from grpc.aio import ServicerContext

from csm.serving.auth.authenticator import Authenticator
from csm.serving.auth.certificates import names_of_call
from csm.serving.auth.rules import ADMIN, PUBLIC, Access, Rule

HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
AUTHORIZATION = "authorization"
"""The key of metadata, and the header, that a bearer token comes in."""


class RpcGuard:
    """Says of each RPC who may call it."""

    def __init__(self, authenticator: Authenticator, access: Access) -> None:
        """`access` has the RPCs of the service itself, by name."""
        self._authenticator = authenticator
        self._access = access

    def rule_of(self, service: str, method: str) -> Rule:
        """Probes come without a credential; what nobody has made a rule for is the operator's, and
        reflection with it."""
        if service == HEALTH:
            return PUBLIC
        return ADMIN if service == REFLECTION else self._access.get(method, ADMIN)

    def of(self, service: str, method: str) -> Callable[[ServicerContext], Awaitable[object]]:
        """What to await with the context of each call of that RPC before anything else. It raises
        as `Authenticator.admit` does."""
        rule = self.rule_of(service, method)

        async def admit(context: ServicerContext) -> object:
            given = [v for k, v in context.invocation_metadata() or () if k == AUTHORIZATION]
            return await self._authenticator.admit(
                rule, given, lambda: names_of_call(context.auth_context())
            )

        return admit
