"""Texts of callers, off the event loop: everybody's audio passes that loop.

Ten microseconds a character are 40 ms of a text of 4,096, and of several callers at once the sum. A
thread of its own works on one text after the other; the loop gets the interpreter's lock from it
within milliseconds. What it is given is bounded by `max_text_chars`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

INLINE_CHARS = 256
"""Up to here, as speech comes from a language model, the work is less than a change of threads
costs a loaded machine."""

_thread = ThreadPoolExecutor(1, thread_name_prefix="csm-gateway-text")


async def off_loop(num_chars: int, work: Callable[[], Result]) -> Result:
    """Runs `work` on a text of so many characters; raises what it raises."""
    if num_chars <= INLINE_CHARS:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_thread, work)
