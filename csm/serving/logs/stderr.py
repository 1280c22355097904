"""What others write to standard error, as log records.

gRPC's core, C++ libraries and child processes know nothing of Python's logging: they write lines of
their own to file descriptor 2. Where logs are JSON these come as records of the logger `stderr`.
What the process writes as it is killed by a signal of its own making goes past that; see
`faulthandler`.
"""

import contextlib
import logging
import os
import select
import threading
import time
from typing import IO, Any

MAX_LINE_BYTES = 8192
PIPE_BYTES = 1 << 20
"""That fit in before a writer waits; the default is 64 KiB."""
CLOSE_S = 10.0
"""How long the last lines may take at the end, where the machine is busy. Mostly no time at all."""
POLL_S = 0.01

log = logging.getLogger("stderr")


class StderrLines:
    """Takes file descriptor 2 over, from its making to `close`. Once in a process."""

    def __init__(self) -> None:
        self._real = os.dup(2)
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        self._ended, self._end = os.pipe()
        self._left_bytes = PIPE_BYTES
        """Of what may be in the pipe at the end: a child that goes on writing holds nobody up."""
        # A library that writes while it holds the interpreter's lock waits for nobody to read.
        with contextlib.suppress(OSError, AttributeError, ImportError):  # not on Linux
            import fcntl

            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.dup2(write, 2)
        os.close(write)
        self.stream: IO[str] = os.fdopen(
            self._real, "w", encoding="utf-8", errors="backslashreplace"
        )
        """What standard error was: where records go."""
        self._reader = threading.Thread(target=self._follow, name="stderr", daemon=True)
        self._reader.start()

    def close(self, lock: Any) -> None:
        """Gives the descriptor back, once what was written is logged.

        `lock` is the one that a record takes on its way out, an RLock: `logging.shutdown` holds it
        while it closes a handler, and what is still to be logged would wait for it in vain.
        """
        with contextlib.suppress(OSError):
            os.dup2(self._real, 2)
        # A child may hold the pipe open: its end is no sign. What was written by now is in it.
        with contextlib.suppress(OSError):
            os.close(self._end)
        released = threading.Condition(lock)
        until = time.monotonic() + CLOSE_S
        with released:
            while self._reader.is_alive() and time.monotonic() < until:
                released.wait(POLL_S)

    def _next(self) -> bytes:
        """What was written; nothing at the end."""
        while True:
            ending = self._ended in select.select([self._read, self._ended], [], [])[0]
            if ending and self._left_bytes <= 0:
                return b""
            try:
                data = os.read(self._read, MAX_LINE_BYTES)
            except BlockingIOError:
                if ending:
                    return b""
                continue
            if ending:
                self._left_bytes -= len(data)
            return data

    def _follow(self) -> None:
        pending = b""
        while data := self._next():
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                _tell(line)
            if len(pending) > MAX_LINE_BYTES:
                _tell(pending)
                pending = b""
        _tell(pending)


def _tell(line: bytes) -> None:
    if text := line.decode("utf-8", "backslashreplace").strip():
        log.warning("%s", text)
