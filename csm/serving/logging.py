"""Logs: one JSON object a line, or plain text; each with the request's id. Never text or audio."""

import json
import logging
import sys
import threading
import time
import traceback
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal

request_id: ContextVar[str] = ContextVar("request_id", default="")

LogFormat = Literal["text", "json"]

_ELSEWHERE = ("grpc", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "py.warnings")
"""Loggers of others that may bring handlers of their own."""


def where(error: BaseException) -> str:
    """Kind and place of an exception, without its message: that may carry what a client sent."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{f.name} ({f.filename}:{f.lineno})" for f in reversed(frames))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    after = f", after {where(cause)}" if cause is not None else ""
    return f"{type(error).__qualname__} in {places}{after}" if places else type(error).__qualname__


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


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if rid := getattr(record, "request_id", ""):
            line["request_id"] = rid
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str, form: LogFormat) -> None:
    """Sends all that the process has to say to standard error, once, in the given form.

    That is the logs of every library, Python's warnings, and exceptions that nobody caught, of
    threads too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Context())
    handler.setFormatter(
        _Json()
        if form == "json"
        else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(message)s")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _ELSEWHERE:
        other = logging.getLogger(name)
        other.handlers.clear()
        other.propagate = True
    logging.captureWarnings(True)
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
