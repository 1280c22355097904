"""The token that a client shows of itself, and where it may travel."""

import ipaddress
from collections.abc import Callable

from csm.client.connection import Connection
from csm.errors import invalid

Token = str | Callable[[], str]
"""A bearer token, or what gives the one of now: called for each call, so it must be quick."""

AUTHORIZATION = "authorization"
MAX_TOKEN_CHARS = 8000
CallMetadata = tuple[tuple[str, str | bytes], ...]


def call_metadata(
    connection: Connection, token: Token | None, allow_plaintext_token: bool
) -> Callable[[], CallMetadata]:
    """What gives the metadata of each call: the connection's own, and the token.

    Raises `InvalidArgument` for a token that cannot be one, for one beside an `authorization` in
    the metadata, and for one that others could read on the way.
    """
    fixed: CallMetadata = tuple(connection.metadata)
    if token is None:
        return lambda: fixed
    if any(key == AUTHORIZATION for key, _ in fixed):
        raise invalid("token", f"is not allowed beside {AUTHORIZATION} in metadata")
    plain = connection.root_certificates is None and not is_local(connection.target)
    if plain and not allow_plaintext_token:
        raise invalid(
            "token",
            f"would go to {connection.target} in plain text, where others can read it; allowed are "
            "TLS (root_certificates; csm: --ca, CSM_CA), this machine, or "
            "allow_plaintext_token=True (csm: --allow-plaintext-token)",
        )
    if callable(token):
        return lambda: (*fixed, _header(token()))
    header = _header(token)
    return lambda: (*fixed, header)


def _header(token: str) -> tuple[str, str]:
    """Raises `InvalidArgument`; the token is never shown."""
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARS:
        raise invalid("token", f"is none: a text of 1..{MAX_TOKEN_CHARS} characters is allowed")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise invalid("token", "has blanks in it, or what is not printable ASCII")
    return AUTHORIZATION, f"Bearer {token}"


def is_local(target: str) -> bool:
    """Whether what goes to a target does not leave this machine: loopback, or a socket of Unix."""
    if target.startswith(("unix:", "unix-abstract:", "vsock:")):
        return True
    place = target
    for scheme in ("dns:", "ipv4:", "ipv6:"):
        place = place.removeprefix(scheme)
    # dns://authority/name asks that authority, which may say anything.
    if place.startswith("//") and not place.startswith("///"):
        return False
    # Several addresses: each.
    hosts = [one.rpartition(":")[0].strip("[]") for one in place.lstrip("/").split(",")]
    return all(_is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
