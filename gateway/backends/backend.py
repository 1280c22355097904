"""One backend: its channel, what it says of itself, and whether it answers."""

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc

from csm.channel import open_async
from gateway.backends.affinity import AFFINITY_HEADER
from gateway.backends.backend_tls import BackendTls
from gateway.settings import GatewaySettings, LoadBalancing

log = logging.getLogger(__name__)

CONNECT_S = 2.0
"""How long a new channel may take before it is used all the same."""
OLD_S = 1800.0
"""How long calls may go on that began before the TLS files changed."""
MAX_OLD = 8
"""Channels that are kept for such calls; the oldest goes first."""


def _policy(kind: LoadBalancing) -> dict[str, object]:
    if kind != "ring_hash":
        return {kind: {}}
    # The key counts when the first ring_hash channel opens; without it every call fails with
    # "hash attribute not present" (gRFC A76 is still behind this switch in grpc 1.85).
    os.environ.setdefault("GRPC_EXPERIMENTAL_RING_HASH_SET_REQUEST_HASH_KEY", "true")
    return {"ring_hash_experimental": {"requestHashHeader": AFFINITY_HEADER}}


class Backend:
    """One channel, watched: `info` is what the service last said, None while it is silent."""

    def __init__(
        self,
        name: str,
        target: str,
        balancing: LoadBalancing,
        ask: Callable[[grpc.aio.Channel], Callable[[], Any]],
        settings: GatewaySettings,
        tls: BackendTls | None = None,
        stub: Callable[[grpc.aio.Channel], Any] = lambda channel: None,
    ) -> None:
        """`ask` makes of a channel what asks it for `info`; `stub`, what calls go through. `tls`
        None: plaintext."""
        self.name = name
        self.target = target
        self._tls = tls
        self._policy = _policy(balancing)
        self._make_stub, self._make_ask = stub, ask
        self._old: deque[grpc.aio.Channel] = deque()
        self._closing: set[asyncio.Future[None]] = set()
        self._opened_with = tls.current if tls is not None else None
        self.channel = self._open()
        self.stub = stub(self.channel)
        """Another one after the TLS files have changed: not to be kept."""
        self.info: Any = None
        self.problem = ""
        """Why it does not answer, in gRPC's words; empty where it does."""
        self.ask = ask(self.channel)
        self._settings = settings
        self._answered = asyncio.Event()

    async def watch(self) -> None:
        """Asks for ever: at once when the connection changes, else every few seconds."""
        settings = self._settings
        changed: asyncio.Task[None] | None = None
        try:
            while True:
                await self._look()
                if await self._reopened() and changed is not None:
                    changed.cancel()
                    changed = None
                if self.info is None:
                    await asyncio.sleep(settings.backend_retry_s)
                    continue
                # The same one until the state does change: grpc keeps also those that were
                # cancelled until then, and a good connection lasts for weeks.
                if changed is None:
                    state = self.channel.get_state()
                    changed = asyncio.create_task(self.channel.wait_for_state_change(state))
                done, _ = await asyncio.wait({changed}, timeout=settings.backend_refresh_s)
                if done:
                    changed.result()
                    changed = None
        finally:
            if changed is not None:
                changed.cancel()

    async def _look(self) -> None:
        try:
            self.info = await self.ask()
            self.problem = ""
            if not self._answered.is_set():
                log.info("the %s at %s answers", self.name, self.target)
                self._answered.set()
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and self.info is not None:
                return  # it has as much to do as it takes, and is there
            problem = f"{error.code().name}: {error.details()}"
            if self._answered.is_set() or not self.problem:
                log.warning("the %s at %s does not answer: %s", self.name, self.target, problem)
            self.problem = problem
            self._answered.clear()
            self.info = None

    def _open(self) -> grpc.aio.Channel:
        # One that still loads, or is drained, gets no call while there is another.
        return open_async(
            self.target,
            load_balancing=self._policy,
            health_service=f"csm.v1.{self.name.title()}Service",
            tls=self._opened_with,
        )

    async def _reopened(self) -> bool:
        """Whether there is another channel now, because the TLS files have changed.

        gRPC's channels keep what they were opened with. What runs on the old one goes on there.
        """
        if self._tls is None:
            return False
        self._tls.look()
        if self._tls.current is self._opened_with:
            return False
        self._opened_with = self._tls.current
        new = self._open()
        # Its first call is not to wait for the handshake.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(new.channel_ready(), CONNECT_S)
        old, self.channel = self.channel, new
        self.stub, self.ask = self._make_stub(new), self._make_ask(new)
        self._old.append(old)
        asyncio.get_running_loop().call_later(OLD_S, self._close_old, old)
        while len(self._old) > MAX_OLD:
            self._close_old(self._old[0])
        log.info("the %s at %s is reached with new TLS files", self.name, self.target)
        return True

    def _close_old(self, channel: grpc.aio.Channel) -> None:
        if channel in self._old:
            self._old.remove(channel)
            closing = asyncio.ensure_future(channel.close(None))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Closes the channel; calls under way end."""
        channels = [self.channel, *self._old]
        self._old.clear()
        await asyncio.gather(*(channel.close(None) for channel in channels))

    async def answered(self, timeout_s: float) -> None:
        """Returns when it answers, or after the timeout."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._answered.wait(), timeout_s)
