"""The store that needs nothing: conversations live as long as this process."""

from gateway.conversations.conversation import StoredConversation
from gateway.conversations.memory import ConversationMemory
from gateway.conversations.store import LISTED


class InProcessStore:
    """A `ConversationStore` over the memory of this process."""

    def __init__(self, memory: ConversationMemory) -> None:
        self._memory = memory

    def __len__(self) -> int:
        return len(self._memory)

    async def start(self) -> None:
        """Nothing runs beside the calls."""

    async def stop(self) -> None:
        """Nothing is left."""

    def ready(self) -> bool:
        """Always."""
        return True

    async def open(self, conversation_id: str, voice: str, wait_s: float) -> StoredConversation:
        """See `ConversationStore`."""
        await self._memory.given_back(conversation_id, wait_s)
        return self._memory.acquire(conversation_id, voice)

    def close(self, conversation: StoredConversation) -> None:
        """See `ConversationStore`."""
        self._memory.release(conversation)

    async def read(self, conversation_id: str) -> StoredConversation:
        """See `ConversationStore`."""
        return self._memory.get(conversation_id)

    async def delete(self, conversation_id: str, wait_s: float) -> None:
        """See `ConversationStore`."""
        await self._memory.given_back(conversation_id, wait_s)
        self._memory.delete(conversation_id)

    async def ids(self, owner: str = "") -> list[str]:
        """See `ConversationStore`. There is no owner but "" yet."""
        return [] if owner else self._memory.ids()[:LISTED]

    async def sweep(self) -> None:
        """See `ConversationStore`."""
        self._memory.sweep()
