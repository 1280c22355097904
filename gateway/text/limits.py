"""What a sentence may be, for a model."""

from dataclasses import dataclass

from gateway.text.characters import Characters
from gateway.text.fit import Room

SENTENCE_SHARE = 0.9
"""Of what the context has beside the voices' prompts, for one sentence."""


@dataclass(frozen=True)
class Limits:
    """What a sentence may be."""

    max_chars: int
    """Longer ones are cut, as written and in their spoken form."""
    room: Room | None = None
    """What the model has for it; None: nobody knows."""
    characters: Characters | None = None
    """What the model can read; None: anything."""

    @classmethod
    def of_model(
        cls, max_chars: int, max_positions: int, frame_ms: float, characters: str
    ) -> "Limits":
        """For a model with `max_positions` beside the voices' prompts, that can read `characters`;
        empty: any."""
        room = Room(round(max_positions * SENTENCE_SHARE), frame_ms)
        return cls(max_chars, room, Characters(characters) if characters else None)
