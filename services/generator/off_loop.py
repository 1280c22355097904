"""Work whose size a caller chooses, off the event loop: every stream's frames pass that loop.

Two threads of their own, so that many long texts delay each other and nobody else. What they run
is bounded by what it is given (`Context`, `TextTokenizer.encode_within`), and tokenising lets go of
the interpreter's lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

INLINE_CHARS = 512
"""Text up to here is tokenised on the loop: at the worst known 10 us a character it takes 5 ms."""
INLINE_BYTES = 16 << 10
"""Messages up to here are unpacked on the loop."""

_threads = ThreadPoolExecutor(2, thread_name_prefix="csm-generator-text")


async def sized(chars: int, work: Callable[[], Result]) -> Result:
    """Runs here what tokenises little text, and elsewhere what would hold up everybody's frames."""
    return work() if chars <= INLINE_CHARS else await off_loop(work)


async def off_loop(function: Callable[[], Result]) -> Result:
    """Runs `function` in one of the threads; raises what it raises."""
    return await asyncio.get_running_loop().run_in_executor(_threads, function)
