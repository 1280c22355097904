"""The channel of a client, opened anew where its TLS files were renewed.

A channel of gRPC keeps the certificates that it was opened with, over every reconnection.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from csm.client.connection import Connection
from csm.client_tls import ClientTls
from csm.errors import InvalidArgument

LOOK_S = 1.0
"""The files are read no more often, and only as calls are made."""
MAX_REPLACED = 2
"""Channels that are kept for the calls that began over them; one more, and the oldest is closed."""


class RenewedChannel:
    """The newest channel of one client; may be used by several threads."""

    def __init__(
        self,
        connection: Connection,
        open_channel: Callable[[Connection, ClientTls | None], Any],
        make_stub: Callable[[Any], Any],
        close: Callable[[Any], None],
    ) -> None:
        """`close` ends a channel, and the calls over it.

        Raises `InvalidArgument` where a file of the connection cannot be one.
        """
        self._connection, self._open, self._make_stub = connection, open_channel, make_stub
        self._close = close
        self._lock = threading.Lock()
        self._tls = connection.tls()
        self._looked = time.monotonic()
        self._channel = open_channel(connection, self._tls)
        self._stub = make_stub(self._channel)
        self._replaced: list[Any] = []
        given = (connection.root_certificates, *(connection.client_certificate or ()))
        self._watches = any(isinstance(one, Path) for one in given)

    @property
    def stub(self) -> Any:
        """What the next call goes through, by the files as they are now."""
        due = self._watches and time.monotonic() - self._looked >= LOOK_S
        if due and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._stub

    @property
    def channels(self) -> list[Any]:
        """All that are open."""
        with self._lock:
            return [*self._replaced, self._channel]

    def _look(self) -> None:
        self._looked = time.monotonic()
        try:
            found = self._connection.tls()
        except InvalidArgument:
            # Being written, or broken: the old ones hold for as long as the server takes them.
            return
        if found == self._tls:
            return
        replaced = self._channel
        self._tls, self._channel = found, self._open(self._connection, found)
        self._stub = self._make_stub(self._channel)
        self._replaced.append(replaced)
        if len(self._replaced) > MAX_REPLACED:
            self._close(self._replaced.pop(0))
