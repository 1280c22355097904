"""The store of conversations: who said what, as segments of frames. It is the truth."""

from typing import Protocol

from gateway.conversations.conversation import ConversationLimits, StoredConversation
from gateway.conversations.segment import Segment, cut, cut_text
from gateway.conversations.turn import Turn, new_turn_id

__all__ = [
    "ConversationLimits",
    "ConversationStore",
    "Segment",
    "StoredConversation",
    "Turn",
    "cut",
    "cut_text",
    "new_turn_id",
]


class ConversationStore(Protocol):
    """Conversations by id. A conversation serves one call at a time."""

    def __len__(self) -> int:
        """How many are kept."""

    def acquire(self, conversation_id: str, voice: str) -> StoredConversation:
        """The conversation, new or known, for one call alone until `release`.

        `voice` is what a new one gets; an empty id makes a new one with an id of its own. Raises
        `FailedPrecondition` where another call uses it, `QueueFull` where there is no room.
        """

    def release(self, conversation: StoredConversation) -> None:
        """The call is over; a conversation without turns is forgotten."""

    async def given_back(self, conversation_id: str, timeout_s: float) -> None:
        """Returns when no call has the conversation, or after the timeout."""

    def voice_of(self, conversation_id: str) -> str:
        """The voice of a conversation; empty where there is none."""

    def get(self, conversation_id: str) -> StoredConversation:
        """The conversation; raises `NotFound`."""

    def delete(self, conversation_id: str) -> None:
        """Forgets a conversation; raises `NotFound`, or `FailedPrecondition` while in use."""

    def sweep(self) -> None:
        """Forgets what nobody used for the time to live."""
