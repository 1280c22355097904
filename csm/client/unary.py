"""A call of one answer, as both clients make it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

UNARY_TIMEOUT_S = 30.0
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Unary(Generic[Answer]):
    """A call of one question, or one stream of messages, and one answer; not yet made."""

    method: Callable[..., Any]
    request: Any
    """A message, or an iterator of them."""
    answer: Callable[[Any], Answer]
