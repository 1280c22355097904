"""One backend: its channel, what it says of itself, and whether it answers."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from typing import Any

import grpc

from csm.channel import open_async
from gateway.backends.affinity import AFFINITY_HEADER
from gateway.settings import GatewaySettings, LoadBalancing

log = logging.getLogger(__name__)


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
    ) -> None:
        self.name = name
        self.target = target
        self.channel = open_async(target, load_balancing=_policy(balancing))
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

    async def answered(self, timeout_s: float) -> None:
        """Returns when it answers, or after the timeout."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._answered.wait(), timeout_s)
