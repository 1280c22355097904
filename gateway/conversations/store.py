"""The store of conversations: who said what, as segments of frames. It is the truth."""

from dataclasses import dataclass
from typing import Protocol

from csm import errors
from gateway.conversations.conversation import ConversationLimits, StoredConversation
from gateway.conversations.segment import Segment, cut, cut_text
from gateway.conversations.turn import Turn, new_turn_id

__all__ = [
    "ConversationLimits",
    "ConversationStore",
    "InUse",
    "Kept",
    "Segment",
    "StoredConversation",
    "Turn",
    "cut",
    "cut_text",
    "new_turn_id",
]

LISTED = 1000
"""Ids that `ids` gives at the most."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How much is kept of one owner."""

    count: int = 0
    num_bytes: int = 0


class ConversationStore(Protocol):
    """Conversations by owner and id. A conversation has one writer at a time.

    An id of another owner is one that does not exist: nothing that is answered, and nothing that is
    raised, tells the one from the other. The owner is the tenant, "" where identity is off.

    What a call holds is a conversation in memory: adding a turn to it or cutting one never waits.
    A store elsewhere is written behind, by the conversation's `writer`.
    """

    def __len__(self) -> int:
        """How many are in this process."""

    async def start(self) -> None:
        """Begins what runs beside the calls. Never waits for a store elsewhere."""

    async def stop(self) -> None:
        """Ends it, after the last call."""

    def ready(self) -> bool:
        """Whether a conversation can be opened."""

    async def open(
        self, conversation_id: str, voice: str, wait_s: float, *, owner: str
    ) -> StoredConversation:
        """The owner's conversation, new or known, for one call alone until `close`.

        `voice` is what a new one gets; an empty id makes a new one with an id of its own. Another
        call may need up to `wait_s` to give it back. Raises `FailedPrecondition` where it does not,
        `QueueFull` where there is no room, `Unavailable` where the store does not answer.
        """

    def close(self, conversation: StoredConversation) -> None:
        """The call is over; a conversation without turns is forgotten. Returns at once: what is
        left to write is written behind."""

    async def read(self, conversation_id: str, *, owner: str) -> StoredConversation:
        """The owner's conversation, to read; raises `NotFound`, or `Unavailable`."""

    async def delete(self, conversation_id: str, wait_s: float, *, owner: str) -> None:
        """Forgets a conversation; raises `NotFound`, or `FailedPrecondition` while in use."""

    async def ids(self, owner: str) -> list[str]:
        """The ids of an owner's conversations, in no order, `LISTED` at the most."""

    async def count(self, owner: str) -> int:
        """How many conversations are kept of an owner; raises `Unavailable`."""

    async def num_bytes(self, owner: str) -> int:
        """About how many bytes they take; raises `Unavailable`."""

    async def sweep(self) -> None:
        """Forgets what nobody used for the time to live."""


class InUse(errors.FailedPrecondition):
    """A conversation has a writer already."""

    def __init__(self, conversation_id: str, age_s: float) -> None:
        """`age_s`: since that one opened it."""
        super().__init__(
            f"conversation {conversation_id!r} is in use by another call, begun {age_s:.1f} s ago"
        )
