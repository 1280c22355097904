"""From a URL to a client: one server, Sentinel, or a cluster. Imports the `redis` package."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from csm.errors import InvalidArgument
from gateway.conversations.redis.tls_files import CA, CERTIFICATE, KEY, StoreTlsFiles

ALLOWED = (
    "redis://HOST:PORT/DB, unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB, "
    "redis+cluster://HOST:PORT,HOST:PORT; with TLS rediss://, rediss+sentinel:// and "
    "rediss+cluster://, behind them ?ssl_ca_certs=FILE&ssl_certfile=FILE&ssl_keyfile=FILE"
)
TLS_FILES = (CA, CERTIFICATE, KEY)
"""In the query of a URL: whom to trust (else the system's), and what to show with mutual TLS."""
MAX_CONNECTIONS = 32
SENTINEL_PORT = 26379
PORT = 6379
Client = Redis | RedisCluster


@dataclass(frozen=True)
class _Nodes:
    """What a URL with several hosts says."""

    hosts: list[tuple[str, int]]
    user: dict[str, Any]
    path: list[str]


def connect(url: str, timeout_s: float) -> Client:
    """A client, not connected yet. `timeout_s`: for connecting, and for each answer.

    Raises `ValueError` without the URL, which may hold a password.
    """
    scheme, mark, _ = url.partition("://")
    if not mark:
        raise ValueError(f"store_url: has no ://; allowed are {ALLOWED}")
    # Once more on a new connection: those in the pool may be of a server that was restarted. Every
    # script may be run twice.
    options: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 1),
        "protocol": 2,
    }
    try:
        files = StoreTlsFiles(_paths(url)) if scheme.startswith("rediss") else None
        if files is not None:
            options |= _tls(url, files)
        client = _client(url, scheme, options)
    except (ValueError, TypeError, InvalidArgument) as error:
        raise ValueError(f"store_url: {_told(error, url)}; allowed are {ALLOWED}") from None
    if client is None:
        raise ValueError(f"store_url: begins with {scheme[:20]!r}; allowed are {ALLOWED}")
    if files is not None:
        files.follow(client)
    return client


def _client(url: str, scheme: str, options: dict[str, Any]) -> Client | None:
    """None for an unknown scheme. Raises `ValueError` or `TypeError` for what cannot be read."""
    if scheme in ("redis", "rediss", "unix"):
        # What the URL says of TLS is taken from there, its files too.
        taken = {k: v for k, v in options.items() if k not in ("ssl", *TLS_FILES)}
        pool = BlockingConnectionPool.from_url(
            url, max_connections=MAX_CONNECTIONS, timeout=options["socket_timeout"], **taken
        )
        return Redis.from_pool(pool)
    parts = urlsplit(url)
    if scheme in ("redis+sentinel", "rediss+sentinel"):
        return _by_sentinel(_nodes(parts, SENTINEL_PORT), options)
    if scheme in ("redis+cluster", "rediss+cluster"):
        nodes = _nodes(parts, PORT)
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in nodes.hosts],
            max_connections=MAX_CONNECTIONS,
            **nodes.user,
            **options,
        )
    return None


def _paths(url: str) -> dict[str, Path]:
    """The TLS files that a URL names."""
    query = dict(parse_qsl(urlsplit(url).query))
    return {name: Path(query[name]) for name in TLS_FILES if name in query}


def _tls(url: str, files: StoreTlsFiles) -> dict[str, Any]:
    """What a URL with TLS says of it."""
    query = dict(parse_qsl(urlsplit(url).query))
    return {
        "ssl": True,
        "ssl_check_hostname": query.get("ssl_check_hostname", "true").lower() != "false",
        **{name: str(path) for name, path in files.paths.items()},
    }


def _by_sentinel(nodes: _Nodes, options: dict[str, Any]) -> Redis:
    if not nodes.path:
        raise ValueError("names no service")
    sentinel = Sentinel(nodes.hosts, sentinel_kwargs=options, **options)
    db = int(nodes.path[1]) if len(nodes.path) > 1 else 0
    client: Redis = sentinel.master_for(
        nodes.path[0], db=db, max_connections=MAX_CONNECTIONS, **nodes.user
    )
    return client


def _nodes(parts: SplitResult, default_port: int) -> _Nodes:
    credentials, _, hosts = parts.netloc.rpartition("@")
    name, _, password = credentials.partition(":")
    user: dict[str, Any] = {}
    if name:
        user["username"] = unquote(name)
    if password:
        user["password"] = unquote(password)
    found = []
    for one in hosts.split(","):
        host, _, port = one.rpartition(":") if ":" in one else (one, "", "")
        if not host:
            raise ValueError("names no host")
        found.append((host.strip("[]"), int(port) if port else default_port))
    return _Nodes(found, user, [p for p in parts.path.split("/") if p])


def _told(error: Exception, url: str) -> str:
    """What is wrong, unless it repeats the URL."""
    text = str(error)
    return "cannot be read" if any(p and p in text for p in (url, urlsplit(url).netloc)) else text
