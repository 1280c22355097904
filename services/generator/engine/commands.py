"""What the event loop asks of the engine thread; drained between steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from services.generator.engine.events import FinishReason
from services.generator.engine.turn import EngineTurn


@dataclass(frozen=True, eq=False)
class Submit:
    """Run the turn. It was admitted."""

    turn: EngineTurn


@dataclass(frozen=True)
class CancelTurn:
    """End the turn; `requested_s` on the monotonic clock."""

    key: str
    reason: FinishReason
    requested_s: float


@dataclass(frozen=True)
class Credit:
    """Allow the turn more frames."""

    key: str
    frames: int


@dataclass(frozen=True)
class Release:
    """Take an owner's idle slot away; `reply` is called on the event loop with whether it had one.
    `asked`: by a client, not because its stream ended."""

    owner: str
    asked: bool = False
    reply: Callable[[bool], None] | None = None


@dataclass(frozen=True)
class EndAll:
    """End every turn."""

    reason: FinishReason


@dataclass(frozen=True)
class Stop:
    """End every turn, and the thread."""


Command: TypeAlias = Submit | CancelTurn | Credit | Release | EndAll | Stop
