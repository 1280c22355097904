"""Ending what runs: a task that is cancelled, work that may hang."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable

from csm.serving.logs.format import where

log = logging.getLogger(__name__)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancels a task and waits for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def within(seconds: float, work: Awaitable[None], what: str) -> None:
    """Waits for `work`, and no longer than that; its failure is logged."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not task.done():
        task.cancel()
        log.error("%s has not ended within %g s; going on without", what, seconds)
    elif not task.cancelled() and (error := task.exception()):
        log.error("%s failed to end: %s", what, where(error))
