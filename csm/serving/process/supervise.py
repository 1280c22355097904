"""Background tasks that are to run as long as the process does.

A task that ends by an exception is silent until somebody asks for its result, and what it kept up
to date stays at its last word.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from csm.serving.logs.format import where
from csm.serving.metrics import Metrics

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 10.0


async def supervise(name: str, work: Callable[[], Awaitable[None]], metrics: Metrics) -> None:
    """Runs `work()` until it returns; after an exception again, and again.

    It waits 0.1 s before the second start, then twice as long each time, 10 s at the most; a run
    that lasted longer than that begins anew. `name` is a label of
    `csm_watcher_restarts_total`, so one of few. A cancellation ends both.
    """
    restarts = metrics.server.watcher_restarts.labels(name)
    wait_s = FIRST_WAIT_S
    while True:
        began = time.monotonic()
        try:
            await work()
            return
        except Exception as error:
            if time.monotonic() - began > LONGEST_WAIT_S:
                wait_s = FIRST_WAIT_S
            log.error("watcher %s failed, again in %g s: %s", name, round(wait_s, 1), where(error))
        restarts.inc()
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
