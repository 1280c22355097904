"""Log records as lines: JSON, or text with the same fields. One record is one line, whatever a
client put into a value; only an exception's traceback follows it, indented, in text."""

import json
import logging
import re
import time
import traceback
from typing import Any

from csm.errors import ServiceError

_PLAIN = re.compile(r'[^\s"\\=\x00-\x20]+')
# What a terminal obeys or a reader of lines takes for the end of one, and half characters, which
# cannot be written. JSON itself escapes those below the blank.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_encoded = json.JSONEncoder(ensure_ascii=False, default=str).encode
_OTHERS = ("asyncio", "grpc", "uvicorn", "websockets")
"""Loggers of others that tell of exceptions of our own handlers."""


def where(error: BaseException) -> str:
    """Kind and place of an exception, without its message: that may carry what a client sent."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{f.name} ({f.filename}:{f.lineno})" for f in reversed(frames))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    after = f", after {where(cause)}" if cause is not None else ""
    return f"{type(error).__qualname__} in {places}{after}" if places else type(error).__qualname__


def escaped(text: str) -> str:
    """The text without line breaks and other characters that are obeyed instead of shown."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a line says, in order."""
    line: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        + f".{int(record.msecs):03d}Z",
        "level": record.levelname,
        "logger": record.name,
        "message": _message(record),
    }
    line.update(getattr(record, "fields", {}))
    if request_id := getattr(record, "request_id", ""):
        line["request_id"] = request_id
    if exception := _exception(record):
        line["exception"] = exception
    return line


def json_line(level: str, logger: str, message: str) -> str:
    """A line for what is told before there are logs."""
    number = logging.getLevelNamesMapping()[level]
    return JsonLines().format(logging.LogRecord(logger, number, "", 0, message, None, None))


class JsonLines(logging.Formatter):
    """An object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(_encoded(fields_of(record)))


class TextLines(logging.Formatter):
    """Time, level, logger, message, then the fields as `key=value`, quoted as in JSON where need
    be."""

    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        when, level, logger, message = (
            fields.pop(k) for k in ("time", "level", "logger", "message")
        )
        exception = fields.pop("exception", "")
        line = f"{when} {level:<7} {logger} {escaped(message)}"
        line += "".join(f" {key}={_value(value)}" for key, value in fields.items())
        trace = (f"\n    {escaped(one)}" for one in exception.splitlines())
        return line + "".join(trace)


def _value(value: object) -> str:
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and escaped(value) == value):
        return escaped(_encoded(value))
    return value if isinstance(value, str) else _encoded(value)


def _message(record: logging.LogRecord) -> str:
    message = record.getMessage()
    if record.name == "asyncio":
        # The further lines show a task with its exception, and that with what a client sent.
        return message.partition("\n")[0]
    return message


def _exception(record: logging.LogRecord) -> str:
    """The traceback; kind and place alone where the exception may carry what a client sent."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return ""
    of_call = getattr(record, "request_id", "") or record.name.partition(".")[0] in _OTHERS
    if of_call or _is_of_client(error):
        return where(error)
    return "".join(traceback.format_exception(error)).rstrip()


def _is_of_client(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ServiceError):
            return True
        error = error.__cause__ or error.__context__
    return False
