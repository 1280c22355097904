"""A turn on the wire, and the audio context of the pipeline that it belongs to."""

import inspect
from dataclasses import dataclass, field

from csm import AsyncClient, AudioChunk

WORD_TIMES = "word_times" in inspect.signature(AsyncClient.converse).parameters
"""Whether the installed csm can ask for the times of words."""


@dataclass
class SpokenContext:
    """What of an audio context is still to come. It is one turn on the wire, unless a
    `TTSSpeakFrame` came in the middle of it: then it is one turn before that and one behind."""

    context_id: str
    audio_ms: float = 0.0
    """Received so far, of all its turns."""
    turns_left: int = 0
    flushed: bool = False
    """Whether all of its text is known."""


@dataclass
class SpokenTurn:
    """One turn of the `Converse` call, with its text, so that it can be said again."""

    context: SpokenContext
    text: str = ""
    ended: bool = False
    """Whether its text is complete."""
    turn_id: str = ""
    """Empty until the server has begun to speak."""
    starts_at_ms: float = 0.0
    """Where in its context its audio begins."""
    audio_ms: float = 0.0
    """Received so far."""
    attempts: int = 1
    cancelled: bool = False
    _told_chars: int = field(default=0, repr=False)

    def words(self, chunk: AudioChunk, *, by_word: bool) -> list[tuple[str, float]]:
        """Words that begin to be spoken in that chunk, with seconds from their context's start.

        Not `by_word`: all words of a sentence have the time at which it begins.
        """
        start_s = self.starts_at_ms / 1000
        if by_word:
            told = getattr(chunk, "words", ())
            return [(one.word, start_s + one.start_ms / 1000) for one in told]
        begun = self.text[self._told_chars : chunk.text_chars]
        self._told_chars = max(self._told_chars, chunk.text_chars)
        at_s = start_s + chunk.first_sample / chunk.sample_rate_hz
        return [(word, at_s) for word in begun.split()]
