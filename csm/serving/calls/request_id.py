"""The id of a request: the caller's own, or a new one."""

import os
import re
from contextvars import ContextVar

HEADER = "x-request-id"
request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the call that is under way; empty where there is none."""

_ALLOWED = re.compile(r"[\w.:-]{1,64}", re.ASCII)


def request_id_of(given: str) -> str:
    """The id that a caller gave where it is one, 1..64 letters, digits and `_.:-`; else a new
    one."""
    return given if _ALLOWED.fullmatch(given) else os.urandom(8).hex()
