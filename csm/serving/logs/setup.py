"""Logs: one JSON object a line, or plain text; each with the request's id. Never text or audio.

What a line looks like is in `format`.
"""

import contextlib
import faulthandler
import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, Literal

from csm.serving.calls.request_id import request_id
from csm.serving.logs.format import JsonLines, TextLines
from csm.serving.logs.stderr import StderrLines

LogFormat = Literal["text", "json"]

_OURS = ("csm", "gateway", "services")
"""Others say nothing below WARNING, whatever the level: at DEBUG they tell of frames, paths and
statements with what a client put there."""
_ELSEWHERE = ("grpc", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "py.warnings")
"""Loggers of others that may bring handlers of their own."""


class _Context(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return not _is_noise(record)


def _is_noise(record: logging.LogRecord) -> bool:
    """Lines of grpc.aio that any client can cause, with its bytes in them."""
    if record.name.startswith("grpc"):
        # Metadata that is not UTF-8 is handed on as bytes, and told with a traceback each time. A
        # server that ends is an exception in place of a message; the host says that it ended.
        return str(record.msg).startswith("Invalid encoding") or isinstance(
            record.msg, BaseException
        )
    error = record.exc_info[1] if record.exc_info else None
    return record.name == "asyncio" and error is not None and _of_server_loop(error)


def _of_server_loop(error: BaseException) -> bool:
    return any(f.name == "_server_main_loop" for f in traceback.extract_tb(error.__traceback__))


class _Handler(logging.StreamHandler[Any]):
    """Writes records to what standard error was; at its end waits for what others still write."""

    def __init__(self, form: LogFormat) -> None:
        self._others = StderrLines() if form == "json" else None
        super().__init__(self._others.stream if self._others else sys.stderr)
        self.addFilter(_Context())
        self.setFormatter(JsonLines() if form == "json" else TextLines())

    def close(self) -> None:
        if self._others is not None:
            others, self._others = self._others, None
            others.close(self.lock)
        super().close()


def configure_logging(level: str, form: LogFormat) -> None:
    """Sends all that the process has to say to standard error, once, in the given form.

    That is the logs of every library, Python's warnings, and exceptions that nobody caught, of
    threads too; in JSON also what others write there, as gRPC's core does. Once in a process.
    """
    handler = _Handler(form)
    # What no line says is not looked up for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    for name in _ELSEWHERE:
        other = logging.getLogger(name)
        other.handlers.clear()
        other.propagate = True
    logging.captureWarnings(True)
    # Where a crash of native code was; too late then for any form.
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no file, as under a test
        faulthandler.enable(handler.stream)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("csm").critical("the process ends", exc_info=(kind, error, trace))


def _uncaught_in_thread(arguments: Any) -> None:
    if arguments.exc_type is SystemExit:
        return
    name = arguments.thread.name if arguments.thread else "unknown"
    logging.getLogger("csm").error(
        "thread %s ended",
        name,
        exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback),
    )


def _unraisable(arguments: Any) -> None:
    logging.getLogger("csm").error(
        "%s",
        arguments.err_msg or "an exception was ignored",
        exc_info=(arguments.exc_type, arguments.exc_value, arguments.exc_traceback),
    )
