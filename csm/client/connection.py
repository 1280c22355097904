"""Where a client connects to, and with what: the target, TLS, metadata, a proxy."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from csm import channel
from csm.client_tls import ClientTls
from csm.errors import invalid
from csm.pem import Pem

Metadata = Sequence[tuple[str, str | bytes]]
"""Sent with every call, for instance `[("authorization", "Bearer ...")]`. Keys are lower case."""

# The schemes of grpc's own names; anything else before `://` is no target.
_NAME = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds):.+")
_KEY = re.compile(r"[0-9a-z_.-]+")
_MAX_PORT = 65535
_closing: set[asyncio.Future[None]] = set()


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


@dataclass(frozen=True)
class Connection:
    """How a client connects: whereto, whom it trusts, what it shows and says of itself."""

    target: str
    root_certificates: Pem | None = None
    """Authorities to trust, PEM; empty bytes: those of gRPC. Turns TLS on."""
    client_certificate: tuple[Pem, Pem] | None = None
    """A certificate, the chain behind it, and its key; for servers with mutual TLS."""
    metadata: Metadata = ()
    """Goes with every call."""
    use_proxy: bool = False
    """Whether to go through the proxy that the environment names."""

    def tls(self) -> ClientTls | None:
        """None for plaintext. Raises `InvalidArgument` where a file cannot be one."""
        return ClientTls.of(self.root_certificates, *(self.client_certificate or ()))


def open_sync(connection: Connection, tls: ClientTls | None) -> grpc.Channel:
    """A blocking channel, with what the files of the connection held when they were read."""
    return channel.open_sync(connection.target, http_proxy=connection.use_proxy, tls=tls)


def open_async(connection: Connection, tls: ClientTls | None) -> grpc.aio.Channel:
    """As `open_sync`, for asyncio."""
    return channel.open_async(connection.target, http_proxy=connection.use_proxy, tls=tls)


def close_sync(opened: grpc.Channel) -> None:
    """Ends a blocking channel, and the calls over it."""
    opened.close()


def close_async(opened: grpc.aio.Channel) -> None:
    """As `close_sync`, by a task of the running loop."""
    task = asyncio.ensure_future(opened.close(None))
    _closing.add(task)
    task.add_done_callback(_closing.discard)
