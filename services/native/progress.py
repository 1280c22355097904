"""What a user hears while a library is compiled: a line before, a spinner on a terminal, a line
after."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator

log = logging.getLogger(__name__)


def tell(message: str) -> None:
    """Say something to whoever waits: in the log where there is one, else on standard error."""
    # A program that set up no logs would swallow the line, and be still for a minute.
    if _has_logs():
        log.info("%s", message)
    else:
        print(message, file=sys.stderr, flush=True)


def _has_logs() -> bool:
    """Whether the program has said where logs go."""
    return bool(logging.getLogger().handlers)


@contextlib.contextmanager
def compiling(what: str) -> Iterator[None]:
    """Tell that `what` is compiled while the body runs, and how long it took when it is done."""
    message = f"compiling {what}, once; it takes about a minute"
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        if not _spin(stack, message):
            tell(message)
        yield
    tell(f"compiled {what} in {time.monotonic() - began:.1f} s")


def _spin(stack: contextlib.ExitStack, message: str) -> bool:
    """Whether a spinner turns: on a terminal where no log and no other spinner writes."""
    # What rich spins elsewhere has taken the place of standard error; lines go above it.
    if _has_logs() or hasattr(sys.stderr, "rich_proxied_file"):
        return False
    if not sys.stderr.isatty():
        return False
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return False
    stack.enter_context(Console(stderr=True).status(Text(message)))
    return True
