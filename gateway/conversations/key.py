"""What a conversation is kept under: its owner and the id that the owner gave it."""

from typing import NamedTuple


class ConversationKey(NamedTuple):
    """Two owners that both say "demo" mean two conversations."""

    owner: str
    """The tenant; "" where identity is off."""
    conversation_id: str
