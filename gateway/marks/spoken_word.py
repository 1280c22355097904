"""When a word is spoken."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of a turn and its time, estimated. See `csm.v1.WordTime`."""

    first_char: int
    """In the turn's text as the caller gave it."""
    end_char: int
    start_ms: int
    """From the turn's first sample."""
    end_ms: int
    word: str
