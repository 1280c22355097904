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

    async def open(
        self, conversation_id: str, voice: str, wait_s: float, *, owner: str = ""
    ) -> StoredConversation:
        """See `ConversationStore`."""
        await self._memory.given_back(conversation_id, wait_s, owner=owner)
        return self._memory.acquire(conversation_id, voice, owner=owner)

    def close(self, conversation: StoredConversation) -> None:
        """See `ConversationStore`."""
        self._memory.release(conversation)

    async def read(self, conversation_id: str, *, owner: str = "") -> StoredConversation:
        """See `ConversationStore`."""
        return self._memory.get(conversation_id, owner=owner)

    async def delete(self, conversation_id: str, wait_s: float, *, owner: str = "") -> None:
        """See `ConversationStore`."""
        await self._memory.given_back(conversation_id, wait_s, owner=owner)
        self._memory.delete(conversation_id, owner=owner)

    async def ids(self, owner: str = "") -> list[str]:
        """See `ConversationStore`."""
        return self._memory.ids(owner=owner)[:LISTED]

    async def count(self, owner: str) -> int:
        """See `ConversationStore`."""
        return self._memory.kept(owner).count

    async def num_bytes(self, owner: str) -> int:
        """See `ConversationStore`."""
        return self._memory.kept(owner).num_bytes

    async def sweep(self) -> None:
        """See `ConversationStore`."""
        self._memory.sweep()
