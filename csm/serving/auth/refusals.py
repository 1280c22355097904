"""Why a call was refused for who makes it."""

from enum import StrEnum

from csm import errors
from csm.serving.auth.identity import Scope, current
from csm.serving.auth.rules import Rule, satisfies


class Refusal(StrEnum):
    """The reasons, as logs and metrics have them; a client is told no more than that it was."""

    MISSING = "missing"
    """No credential at all."""
    MALFORMED = "malformed"
    """A header that is no bearer token, or several, or a token of no kind that is taken here."""
    UNKNOWN = "unknown"
    """A token that is not in the file: made up, or revoked."""
    EXPIRED = "expired"
    INVALID = "invalid"
    """A JWT whose signature, key, issuer, audience or claims are wrong."""
    CERTIFICATE = "certificate"
    """A client certificate whose subject is nobody's."""
    SCOPE = "scope"
    """Who calls is known, and may not do this."""


_MISSING = "this call needs a credential: authorization: Bearer TOKEN"
_WRONG = "the credential is not valid"


def refused(reason: Refusal) -> errors.Unauthenticated:
    """The error of a call without a credential that holds."""
    return errors.Unauthenticated(_MISSING if reason is Refusal.MISSING else _WRONG, reason)


def denied(rule: Rule) -> errors.PermissionDenied:
    """The error of a call whose credential holds and does not suffice."""
    needed = sorted(str(scope) for scope in rule or ())
    told = needed[0] if len(needed) == 1 else f"one of {', '.join(needed)}"
    return errors.PermissionDenied(f"this call needs the scope {told}", Refusal.SCOPE, needed)


def require(scope: Scope) -> None:
    """For what only the content of a request tells: raises `PermissionDenied` where the principal
    of the call now under way has not that scope."""
    rule = frozenset({scope})
    if not satisfies(current.get(), rule):
        raise denied(rule)
