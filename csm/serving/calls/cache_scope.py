"""Whose KV cache a turn may take over: metadata from the gateway to the generator."""

from collections.abc import Iterable

from csm.errors import invalid
from csm.limits import MAX_ID_CHARS

HEADER = "x-csm-cache-scope"
"""Turns of one scope may take over each other's prefixes, of two never. Where it is not sent the
scope is "", which is one as well."""


def cache_scope_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The scope that a call's metadata names; raises `InvalidArgument` for more than
    `MAX_ID_CHARS` characters."""
    given = next((value for key, value in metadata or () if key == HEADER), "")
    scope = given if isinstance(given, str) else given.decode("latin-1")
    if len(scope) > MAX_ID_CHARS:
        raise invalid(HEADER, f"{len(scope)} characters; at most {MAX_ID_CHARS} are allowed")
    return scope
