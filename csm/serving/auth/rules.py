"""What a call needs: nothing, or one of some scopes."""

from collections.abc import Mapping

from csm.serving.auth.identity import Principal, Scope

Rule = frozenset[Scope] | None
"""Any one of these scopes will do, and `admin` always does; None: no credential is asked for."""

PUBLIC: Rule = None
ANY_SCOPE: Rule = frozenset(Scope)
ADMIN: Rule = frozenset({Scope.ADMIN})

Access = Mapping[str, Rule]
"""The rules of one service by the names of its RPCs, or of its routes."""


def one_of(*scopes: Scope) -> Rule:
    """The rule that any of these scopes satisfies."""
    return frozenset(scopes)


def satisfies(principal: Principal, rule: frozenset[Scope]) -> bool:
    """Whether the principal has what the rule asks for."""
    return any(principal.may(scope) for scope in rule)
