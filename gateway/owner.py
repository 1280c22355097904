"""Whose the things are that a call makes, reads or changes."""

from csm.serving.auth import identity


def owner_of_call() -> str:
    """The tenant of the caller; "" where identity is off. For the edges of the gateway, once a
    call: everything behind them is told."""
    return identity.current.get().tenant
