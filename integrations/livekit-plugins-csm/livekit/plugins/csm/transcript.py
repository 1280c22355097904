"""When the parts of a segment's text are spoken: words where the server tells, else sentences."""

import inspect

from livekit.agents.types import TimedString

from csm import AsyncClient, AudioChunk

WORD_TIMES = "word_times" in inspect.signature(AsyncClient.converse).parameters
"""Whether the installed csm can ask for the times of words."""


class Transcript:
    """The text of one segment, handed out beside the audio in which it is spoken.

    All that is handed out, put together, is the text as it was said, white space included.
    """

    def __init__(self, *, by_word: bool) -> None:
        """`by_word`: the times of words were asked for; else each sentence gets its beginning."""
        self._by_word = by_word
        self._text = ""
        self._told_chars = 0

    def said(self, part: str) -> None:
        """A further part of the text was sent."""
        self._text += part

    def beside(self, chunk: AudioChunk) -> list[TimedString]:
        """What begins to be spoken in that chunk, with seconds from the segment's first sample."""
        if not self._by_word:
            start_s = chunk.first_sample / chunk.sample_rate_hz
            return self._up_to(chunk.text_chars, start_s, None)
        timed = []
        for word in getattr(chunk, "words", ()):
            timed += self._up_to(word.end_char, word.start_ms / 1000, word.end_ms / 1000)
        return timed

    def rest(self, end_s: float) -> list[TimedString]:
        """What is behind the last word, at the segment's end; nothing where no times came."""
        return self._up_to(len(self._text), end_s, end_s) if self._told_chars else []

    def _up_to(self, end_char: int, start_s: float, end_s: float | None) -> list[TimedString]:
        text = self._text[self._told_chars : end_char]
        if not text:
            return []
        self._told_chars += len(text)
        if end_s is None:
            return [TimedString(text, start_time=start_s)]
        return [TimedString(text, start_time=start_s, end_time=end_s)]
