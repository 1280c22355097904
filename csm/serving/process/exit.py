"""The end of a process: with its own exit code, whatever hangs or fails by then."""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

log = logging.getLogger(__name__)


def end_process(code: int = 0) -> NoReturn:
    """Ends the process with `code`, at once; what was printed and logged is out.

    Not by the interpreter's own end. A thread in the middle of loading cannot be cancelled, and the
    interpreter would wait for it. And gRPC's threads outlive their last channel, as reference
    cycles keep it: one that asks for the interpreter's lock while that ends aborts the process.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        # Nobody may read it any more.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def exit_lost() -> NoReturn:
    """Ends the process with 1, so that whatever runs it starts it again."""
    logging.shutdown()
    os._exit(1)


def end_process_within(seconds: float) -> Callable[[], None]:
    """Ends the process with 0 after that time, unless what it returns is called before.

    A thread of its own watches: the event loop may be what hangs.
    """
    ended = threading.Event()

    def end() -> None:
        if not ended.wait(seconds):
            log.error("the process was told to end and has not within %g s; it ends now", seconds)
            end_process()

    threading.Thread(target=end, name="end of process", daemon=True).start()
    return ended.set
