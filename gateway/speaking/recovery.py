"""How a turn gets over a backend that fails: elsewhere, or at the same again, and how often.

A turn begins again as long as nothing of it was delivered. Later, what failed is opened elsewhere
and the turn goes on in the same sentence. `fate` says which; here are the bounds.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.backends.backends import Backends
from gateway.backends.failure import BackendFailure
from gateway.settings import GatewaySettings
from gateway.speaking.fate import BUSY, NOT_FREE, Fate, Source
from gateway.speaking.meter import TurnMeter

log = logging.getLogger(__name__)

FIRST_PAUSE_S, MAX_PAUSE_S = 0.05, 0.4
"""Between two tries at a place that is not yet free; doubled each time."""
MAX_RETRIES = 3
"""Of a turn that begins again; and of one that goes on, without a frame or a sound in between."""
MAX_FAILOVERS = 16
"""Of one turn."""


class Tries:
    """Tries at one thing, until it gets on."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._wait_until = math.inf
        self._pause_s = FIRST_PAUSE_S
        self.lost = 0

    def may_wait(self, failure: BackendFailure) -> bool:
        """Whether a place that is not yet free is tried again."""
        now = time.monotonic()
        if now >= self._wait_until:
            return False
        # A slot that the turn before has not left yet is free after a step or two; a stream
        # of the tokenizer when another turn ends.
        settings = self._settings
        most_s = settings.failover_s if failure.code in BUSY else settings.slot_timeout_s
        self._wait_until = min(self._wait_until, now + most_s)
        return True

    def may_lose(self) -> bool:
        """Whether another backend is tried after one that is lost; counts the try."""
        self.lost += 1
        return self.lost <= MAX_RETRIES

    def pause_s(self) -> float:
        """Seconds until the next try at a place."""
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, MAX_PAUSE_S)
        return pause_s


class Recovery:
    """The recoveries of one turn."""

    def __init__(
        self,
        backends: Backends,
        settings: GatewaySettings,
        meter: TurnMeter,
        fate: Callable[[BackendFailure], Fate],
        route_key: str,
    ) -> None:
        """`fate` is the turn's; `route_key` chooses the generator."""
        self.route_key = route_key
        self.route = backends.route_of(route_key)
        """Which of the generators that the key could go to."""
        self.failovers = 0
        """How often the turn went on, or began, with another backend or the same anew."""
        self._backends, self._settings, self._meter = backends, settings, meter
        self._fate = fate
        self._stopped = asyncio.Event()
        self._beginning = Tries(settings)
        self._going_on: dict[Source, Tries] = {}

    def stop(self) -> None:
        """The turn stops: whatever waits here returns."""
        self._stopped.set()

    async def begin_again(self, failure: BackendFailure, give_up: Callable[[], None]) -> bool:
        """Whether the turn begins again. `give_up` is called where it does, before the wait for a
        backend to begin it with."""
        what, tries = self._fate(failure), self._beginning
        if what is Fate.WAIT and tries.may_wait(failure):
            give_up()
            await self._unless_stopped(asyncio.sleep(tries.pause_s()))
            return True
        if what is Fate.RETRY and tries.may_lose():
            give_up()
            self.failovers += 1
            await self._elsewhere(failure)
            return True
        return False

    async def go_on(self, failure: BackendFailure, *, has_frames: bool) -> bool:
        """Whether what failed is opened anew and the turn goes on; returns when there is a backend
        for it. A turn that has frames goes on with them, even if nothing was delivered yet."""
        what = self._fate(failure)
        if what is not Fate.GO_ON and not (what in (Fate.RETRY, Fate.WAIT) and has_frames):
            return False
        tries = self._going_on.setdefault(failure.source, Tries(self._settings))
        if failure.code in NOT_FREE:
            if not tries.may_wait(failure):
                return False
            await self._unless_stopped(asyncio.sleep(tries.pause_s()))
            if failure.code in BUSY:
                return not self._stopped.is_set()
        elif self.failovers >= MAX_FAILOVERS or not tries.may_lose():
            return False
        else:
            self._meter.failed_over(failure.source.value, failure.code.name)
            # Why in a word: a backend's own words may hold what somebody said.
            how = "stands still" if failure.hangs else failure.code.name
            log.info("a turn goes on without its %s: %s", failure.source.value, how)
        await self._elsewhere(failure)
        return not self._stopped.is_set()

    def got_on(self, source: Source) -> None:
        """A frame came, or sound: the failures before it are over."""
        if self._going_on and self._going_on.pop(source, None) is not None:
            self.failovers += 1

    async def _elsewhere(self, failure: BackendFailure) -> None:
        async def find() -> None:
            self.route = await self._backends.recovered(failure.source, self.route_key, self.route)

        await self._unless_stopped(find())

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.create_task(work), asyncio.create_task(self._stopped.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
