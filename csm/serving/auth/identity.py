"""Who makes a call: the principal behind it, its tenant, and what it may do.

The edges (the gRPC interceptor, the HTTP edge) set `current` for the task of a call; what keeps
anything for a caller takes the tenant from there, once, and hands it on as `owner`.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a principal may do."""

    SPEAK = "speak"
    """One text at a time: Synthesize, PrepareText, voices to look at, tokens of audio."""
    CONVERSE = "converse"
    """Conversations: to hold, to read and to delete them."""
    VOICES_WRITE = "voices:write"
    """To make, change and delete voices."""
    ADMIN = "admin"
    """All of it, and what belongs to the operator: the model services themselves, reflection."""


@dataclass(frozen=True)
class Principal:
    """Whoever a credential stands for."""

    name: str
    """Of the token, the subject of the JWT or of the client certificate; "" where identity is
    off."""
    tenant: str
    """Owns what is kept for the call; "" where identity is off."""
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether it has that scope; `admin` has all."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


ANYBODY = Principal("", "", frozenset(Scope))
"""Every caller where identity is off."""

current: ContextVar[Principal] = ContextVar("principal", default=ANYBODY)


def counted_as(address: str) -> str:
    """Whose share of what is bounded the call now under way takes from: its principal's, or where
    identity is off its address's."""
    principal = current.get()
    return f"{principal.tenant} {principal.name}" if principal.name else address
