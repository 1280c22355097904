"""The calls that are under way in a service, through whichever door: what a drain waits for."""

import asyncio
import contextlib
import logging
import time

from csm.serving.calls.record import CallObserver, CallRecord

log = logging.getLogger(__name__)

TELL_S = 5.0
MAX_NAMED = 5
"""Calls that a line about a drain names; the oldest."""


class LiveCalls(CallObserver):
    """Keeps them, oldest first."""

    def __init__(self) -> None:
        self._calls: dict[CallRecord, None] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def call_began(self, call: CallRecord) -> None:
        if not call.probe:
            self._calls[call] = None
            self._empty.clear()

    def call_ended(self, call: CallRecord) -> None:
        self._calls.pop(call, None)
        if not self._calls:
            self._empty.set()

    def __len__(self) -> int:
        return len(self._calls)

    async def empty(self, timeout_s: float) -> None:
        """Returns when none is under way, or after the timeout."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), timeout_s)

    def figures(self) -> dict[str, object]:
        """How many calls and turns, how old the oldest is, and which they are."""
        calls = list(self._calls)
        if not calls:
            return {"calls": 0}
        oldest = calls[:MAX_NAMED]
        return {
            "calls": len(calls),
            "turns": sum(call.turns_under_way for call in calls),
            "oldest_s": round(time.monotonic() - calls[0].began_s, 1),
            "methods": ",".join(sorted({call.method or call.transport for call in calls})),
            "request_ids": ",".join(call.request_id for call in oldest),
            "conversation_ids": ",".join(c.conversation_id for c in oldest if c.conversation_id),
        }

    async def tell_of_drain(self, name: str, finish_s: float) -> None:
        """Says at once and every few seconds what the drain of service `name` waits for, and once
        how many calls were under way when their time of `finish_s` was up; until cancelled, which
        is the drain's end."""
        began_s, before, cut = time.monotonic(), len(self._calls), 0
        told = {"service": name, **self.figures(), "finish_s": finish_s}
        log.info("draining", extra={"fields": told})
        try:
            if not before:
                await asyncio.Event().wait()
            while (left_s := finish_s - (time.monotonic() - began_s)) > 0:
                await asyncio.sleep(min(TELL_S, left_s))
                waited_s = time.monotonic() - began_s
                if self._calls and waited_s < finish_s:
                    told = {
                        "service": name,
                        **self.figures(),
                        "left_s": round(finish_s - waited_s, 1),
                    }
                    log.info("drain waits", extra={"fields": told})
            if cut := len(self._calls):
                told = {"service": name, **self.figures()}
                log.warning("drain cuts what has not ended in time", extra={"fields": told})
            await asyncio.Event().wait()
        finally:
            told = {
                "service": name,
                "calls": before,
                "cut": cut,
                "left": len(self._calls),
                "seconds": round(time.monotonic() - began_s, 1),
            }
            log.info("drained", extra={"fields": told})
