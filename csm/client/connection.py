"""Where a client connects to, and with what: the target, TLS, metadata, a proxy."""

import re
from collections.abc import Sequence
from pathlib import Path

import grpc

from csm import channel
from csm.errors import invalid

Metadata = Sequence[tuple[str, str | bytes]]
"""Sent with every call, for instance `[("authorization", "Bearer ...")]`. Keys are lower case."""

# The schemes of grpc's own names; anything else before `://` is no target.
_NAME = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds):.+")
_KEY = re.compile(r"[0-9a-z_.-]+")
_MAX_PORT = 65535


def check_target(target: str, field: str = "target", example: str = "127.0.0.1:50050") -> str:
    """The target as it is, where it can be one: `host:port`, or a name of gRPC (`dns:///...`).

    Raises `InvalidArgument` about `field`, with an example, for what gRPC would take for a name
    to be looked up and fail on much later: a URL, a host without a port, a port alone.
    """
    if problem := _problem(target):
        raise invalid(field, f"{target!r} {problem}; a host and a port are needed, e.g. {example}")
    return target


def _problem(target: str) -> str:
    if not isinstance(target, str):
        return "is no text"
    if not target.strip():
        return "is empty"
    if target != target.strip() or re.search(r"\s", target):
        return "has blanks in it"
    if "://" in target and not _NAME.fullmatch(target):
        return "is a URL"
    if _NAME.fullmatch(target):
        return ""
    if "/" in target:
        return "has a path"
    if target.isdigit():
        return "is a port without a host"
    host, colon, port = target.rpartition(":")
    if not colon or target.endswith("]"):
        return "has no port"
    if not host:
        return "has no host"
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return "is an IPv6 address without brackets"
    if not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= _MAX_PORT:
        return f"has a port out of range (1..{_MAX_PORT})"
    return ""


def check_metadata(metadata: Metadata) -> tuple[tuple[str, str | bytes], ...]:
    """The metadata, where gRPC can carry it. Raises `InvalidArgument`; values are never shown."""
    for key, value in metadata:
        if not isinstance(key, str) or not _KEY.fullmatch(key) or key.startswith("grpc-"):
            raise invalid(
                "metadata", f"key {key!r} is not allowed; lower-case letters, digits, _ . and -"
            )
        binary = key.endswith("-bin")
        if not isinstance(value, bytes if binary else str):
            raise invalid("metadata", f"{key} takes {'bytes' if binary else 'text'}")
        if isinstance(value, str) and not (value.isascii() and value.isprintable()):
            raise invalid("metadata", f"the value of {key} is not printable ASCII")
    return tuple(metadata)


def _credentials(root_certificates: bytes | Path) -> grpc.ChannelCredentials:
    given = root_certificates
    pem = given.read_bytes() if isinstance(given, Path) else given
    # Empty: those of grpc itself.
    return grpc.ssl_channel_credentials(pem or None)


def open_sync(target: str, root_certificates: bytes | Path | None, use_proxy: bool) -> grpc.Channel:
    """A blocking channel to `target`, with TLS where there are root certificates (PEM)."""
    options = channel.options(http_proxy=use_proxy)
    if root_certificates is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, _credentials(root_certificates), options=options)


def open_async(
    target: str, root_certificates: bytes | Path | None, use_proxy: bool
) -> grpc.aio.Channel:
    """As `open_sync`, for asyncio."""
    options = channel.options(http_proxy=use_proxy)
    if root_certificates is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, _credentials(root_certificates), options=options)
