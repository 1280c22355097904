"""How long an event loop runs nothing but the work of some callers."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

MAX_GAP_S = 0.1
"""What nobody's audio may be held up for."""
TRIES = 3


async def check_gap(caller: Callable[[], Coroutine[Any, Any, None]], callers: int) -> None:
    """Fails where the loop stands still for longer while so many callers are busy.

    A busy machine makes a gap longer and never shorter: the shortest of a few tries is ours.
    """
    gaps_s = []
    for _ in range(TRIES):
        busy = [asyncio.create_task(caller()) for _ in range(callers)]
        gaps_s.append(await _longest_gap_s(busy))
        if gaps_s[-1] < MAX_GAP_S:
            return
    raise AssertionError(f"the loop stood still for {gaps_s} s; at most {MAX_GAP_S} s are allowed")


async def _longest_gap_s(callers: list[asyncio.Task[None]]) -> float:
    worst, last = 0.0, time.perf_counter()
    while not all(caller.done() for caller in callers):
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        worst, last = max(worst, now - last), now
    for caller in callers:
        caller.result()
    return worst
