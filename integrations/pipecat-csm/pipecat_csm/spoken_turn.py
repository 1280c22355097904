"""A turn on the wire, and the audio context of the pipeline that it belongs to."""

import inspect
import unicodedata
from dataclasses import dataclass, field

from csm import AsyncClient, AudioChunk, WordTime

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
            begins = [(self._written(one), start_s + one.start_ms / 1000) for one in chunk.words]
            return [(word, at_s) for word, at_s in begins if word]
        begun = self.text[self._told_chars : chunk.text_chars]
        self._told_chars = max(self._told_chars, chunk.text_chars)
        at_s = start_s + chunk.first_sample / chunk.sample_rate_hz
        return [(word, at_s) for word in begun.split()]

    def _written(self, timed: WordTime) -> str:
        """The word with the marks around it: what Pipecat puts together becomes the language
        model's own words. Empty: it was given with the word before, as of "well-known"."""
        if timed.first_char == timed.end_char:
            return timed.word
        text, first, end = self.text, timed.first_char, timed.end_char
        while first > self._told_chars and not text[first - 1].isspace():
            first -= 1
        while end < len(text) and _belongs(text[end]):
            end += 1
        first = max(first, self._told_chars)
        self._told_chars = max(self._told_chars, end)
        return text[first:end]


def _belongs(char: str) -> bool:
    """Whether a character behind a word is part of what is written without a space; of a script
    without spaces each letter is a word."""
    wide = unicodedata.east_asian_width(char) in "WF"
    return not char.isspace() and not (wide and char.isalnum())
