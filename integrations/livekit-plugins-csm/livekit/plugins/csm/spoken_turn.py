"""One segment as one turn of a `Converse` call, and what is known of it."""

from dataclasses import dataclass

from csm import AsyncConversation


@dataclass
class SpokenTurn:
    """A turn that a stream speaks in a conversation that is open."""

    conversation: AsyncConversation
    turn_id: str = ""
    """Empty until the server has begun to speak."""
    begun: bool = False
    """Whether some of its text was sent: from then on it has a terminal."""
    over: bool = False
    """Whether its terminal came."""
