"""From a URL to a client: one server, Sentinel, or a cluster. Imports the `redis` package."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

ALLOWED = (
    "redis://HOST:PORT/DB, rediss:// with TLS, unix:///PATH, "
    "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB, redis+cluster://HOST:PORT,HOST:PORT"
)
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
        if scheme in ("redis", "rediss", "unix"):
            pool = BlockingConnectionPool.from_url(
                url, max_connections=MAX_CONNECTIONS, timeout=timeout_s, **options
            )
            return Redis.from_pool(pool)
        parts = urlsplit(url)
        if scheme == "redis+sentinel":
            return _by_sentinel(_nodes(parts, SENTINEL_PORT), options)
        if scheme in ("redis+cluster", "rediss+cluster"):
            nodes = _nodes(parts, PORT)
            return RedisCluster(
                startup_nodes=[ClusterNode(host, port) for host, port in nodes.hosts],
                max_connections=MAX_CONNECTIONS,
                ssl=scheme.startswith("rediss"),
                **nodes.user,
                **options,
            )
    except (ValueError, TypeError) as error:
        raise ValueError(f"store_url: {_told(error, url)}; allowed are {ALLOWED}") from None
    raise ValueError(f"store_url: begins with {scheme[:20]!r}; allowed are {ALLOWED}")


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
