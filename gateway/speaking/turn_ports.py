"""What a spoken turn is connected to."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.backends.backends import Backends
from gateway.conversations.segment import Segment
from gateway.conversations.store import StoredConversation
from gateway.settings import GatewaySettings
from gateway.speaking.events import TurnWarning
from gateway.speaking.outbox import Outbox


@dataclass(frozen=True)
class TurnPorts:
    """What a spoken turn is connected to."""

    backends: Backends
    settings: GatewaySettings
    outbox: Outbox
    context: Callable[[], Iterable[Any]]
    """Asked when generation begins: segments as `context_messages` makes them."""
    conversation: StoredConversation | None
    """What the turn joins; None: nothing."""
    deadline: float | None
    """A time of the monotonic clock."""
    prompts: Callable[[], Sequence[Segment]] = tuple
    """Of all voices that may speak in the turn; see `JoinedVoices`."""
    late_warnings: Callable[[], Awaitable[list[TurnWarning]]] | None = None
    """Asked when all is spoken."""
