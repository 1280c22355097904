"""A gRPC server on one port, and the next one when it ends unasked.

One request may end the loop that all requests go through (`server` tells of one that did), and
the port refuses from then on. The calls that are under way go on in the server that ended; a new
server takes the port.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import grpc

from csm.serving.tls.server import ServerTls

log = logging.getLogger(__name__)

RELISTEN_S = 10.0
RETRY_S = 0.05


class Listener:
    """Keeps a server listening at `host`:`port`; `build` makes one, with all that it serves."""

    def __init__(
        self,
        build: Callable[[], grpc.aio.Server],
        host: str,
        port: int,
        tls: ServerTls | None = None,
    ) -> None:
        """`tls` None: plaintext."""
        self._build = build
        self._tls = tls
        self._host = f"[{host}]" if ":" in host else host
        self._asked_port = port
        self.port = 0
        """0 before `start`."""
        self.server = build()
        self._ended: set[grpc.aio.Server] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._restarting = asyncio.Lock()

    async def start(self) -> None:
        """Listens. Raises `OSError` that names the port where it cannot."""
        port = self._bind(self._asked_port)
        if not port:
            raise OSError(f"cannot listen on {self._host}:{self._asked_port}; is the port taken?")
        self.port = port
        await self.server.start()

    async def failure(self) -> BaseException | None:
        """Why the server has ended though nobody stopped it; None: it has not."""
        try:
            await self.server.wait_for_termination(0)
        except Exception as error:
            return error
        return None

    async def restart(self) -> None:
        """A new server on the same port; what the old one has begun, it ends.

        Raises `OSError` where the port is not to be had again.
        """
        async with self._restarting:
            self._ended.add(self.server)
            ending = asyncio.create_task(self._end(self.server))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            self.server = self._build()
            # The old server closes the port in a thread of its own.
            for _ in range(int(RELISTEN_S / RETRY_S)):
                if self._bind(self.port):
                    break
                await asyncio.sleep(RETRY_S)
            else:
                raise OSError(f"cannot listen on {self._host}:{self.port} again")
            await self.server.start()

    async def stop(self, grace_s: float | None) -> None:
        """Closes for new calls at once; what runs is ended after the grace."""
        async with self._restarting:
            servers = [self.server, *self._ended]
        await asyncio.gather(*(server.stop(grace_s) for server in servers))

    def _bind(self, port: int) -> int:
        with contextlib.suppress(RuntimeError):
            if self._tls is not None:
                credentials = self._tls.grpc_credentials()
                return self.server.add_secure_port(f"{self._host}:{port}", credentials)
            return self.server.add_insecure_port(f"{self._host}:{port}")
        return 0

    async def _end(self, server: grpc.aio.Server) -> None:
        # Returns when its last call has ended, with what it ended by.
        with contextlib.suppress(Exception):
            await server.wait_for_termination()
        await server.stop(None)
        self._ended.discard(server)
