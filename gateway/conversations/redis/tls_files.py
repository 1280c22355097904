"""The TLS files of the store: checked, and read again for each connection that is made.

The package `redis` keeps what a connection of its pool read first, also where the connection breaks
off and is made anew.
"""

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import RedisSSLContext, SSLConnection

from csm import pem
from csm.errors import InvalidArgument

CA, CERTIFICATE, KEY = "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"

log = logging.getLogger(__name__)


class StoreTlsFiles:
    """What one client of the store trusts and shows. Of one event loop."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        """`paths`: of `CA`, `CERTIFICATE` and `KEY` those that are given.

        Raises `InvalidArgument` that names the file which cannot be used, `ValueError` where a
        certificate or its key lacks the other.
        """
        lack = [one for one in (CERTIFICATE, KEY) if one not in paths]
        if len(lack) == 1:
            raise ValueError(
                f"{lack[0]} is missing; a certificate and its key are needed, or neither"
            )
        self.paths = dict(paths)
        self._read = self._usable()
        self._context: ssl.SSLContext | None = None
        self._problem = ""

    def follow(self, client: Redis | RedisCluster) -> None:
        """Has each connection that the client makes from now on use the files as they are then."""
        if isinstance(client, RedisCluster):
            found = client.connection_kwargs
            found["connection_class"] = self._following(found["connection_class"])
            for node in client.nodes_manager.startup_nodes.values():
                node.connection_class = found["connection_class"]
            return
        pools = [client.connection_pool]
        if manager := getattr(client.connection_pool, "sentinel_manager", None):
            pools += [sentinel.connection_pool for sentinel in manager.sentinels]
        for pool in pools:
            pool.connection_class = self._following(pool.connection_class)

    def newest(self, asked: RedisSSLContext) -> ssl.SSLContext:
        """What a connection, that is to be made as `asked`, is to use now.

        Files that cannot be used change nothing; the log says why, once.
        """
        try:
            read = self._usable()
            if self._context is None or read != self._read:
                asked.context = None
                self._context, self._read = asked.get(), read
            self._problem = ""
        except (InvalidArgument, OSError) as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning("the store's TLS files cannot be used, what was read stays: %s", error)
            if self._context is None:
                raise OSError(str(error)) from error
        return self._context

    def _usable(self) -> dict[str, bytes]:
        read = {name: pem.read(name, path) for name, path in self.paths.items()}
        if CA in read:
            pem.check_certificates(CA, self.paths[CA], read[CA])
        if KEY in read:
            paths = self.paths[CERTIFICATE], self.paths[KEY]
            pem.check_pair((CERTIFICATE, KEY), paths, read[CERTIFICATE], read[KEY])
        return read

    def _following(self, kind: type[Any]) -> type[SSLConnection]:
        files = self

        class Following(kind):
            def _connection_arguments(self) -> Mapping[str, Any]:
                self.ssl_context.context = files.newest(self.ssl_context)
                arguments: Mapping[str, Any] = super()._connection_arguments()
                return arguments

        return Following
