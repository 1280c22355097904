"""What a conversation in memory knows of the one who writes its turns to a store elsewhere."""

from typing import Protocol


class WriteBehind(Protocol):
    """Writes what changes of one conversation; nothing that speaks waits for it."""

    def changed(self) -> None:
        """Something of the conversation is new; returns at once."""

    async def unsaved(self) -> str:
        """Writes what is missing. Why it is still missing, as a clause; empty: nothing is."""
