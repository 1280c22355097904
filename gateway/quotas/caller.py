"""Whose quotas a call uses up."""

from dataclasses import dataclass

from csm.serving.auth import identity


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal, and the tenant that owns what it does."""

    tenant: str
    """ "" where identity is off."""
    principal: str
    """Its name; "" where identity is off."""


def caller_of_call(owner: str) -> Caller:
    """Who makes this task's call, for the tenant that its edge was told."""
    return Caller(owner, identity.current.get().name)
