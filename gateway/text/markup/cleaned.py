"""What is left of a text when its markup is taken out, on its way to the sentences.

Breaks are single characters in it that no text has after cleaning; all of them are white space to
Python, so that a sentence's `strip` takes them off.
"""

from collections import deque
from typing import NamedTuple

LINE = "\n"
"""A line break as written: the sentence may go on behind it."""
PARAGRAPH = "\x1d"
"""The end of a paragraph, a heading, a table, a block."""
LINE_END = "\x1e"
"""A line break that certainly ends a sentence: that before an item of a list."""
PAUSE = "\x1f"
"""A pause that was asked for; its length is in `Cleaned.pauses`."""
VOICE = "\x1c"
"""Another voice speaks from here on: the next of `Cleaned.voices`."""
HARD_BREAKS = PARAGRAPH + LINE_END + PAUSE + VOICE


class Pause(NamedTuple):
    """Silence asked for in the text."""

    at: int
    """Index of its mark among all cleaned characters of the turn."""
    ms: int


class AskedVoice(NamedTuple):
    """A voice that characters [first_char, end_char) of the caller's text ask for."""

    name: str
    first_char: int
    end_char: int


class Cleaned:
    """Cleaned characters that are not yet given as sentences, and where each comes from."""

    def __init__(self) -> None:
        self.text = ""
        self.firsts: list[int] = []
        self.ends: list[int] = []
        self.taken = 0
        """Cleaned characters before `text`."""
        self.pauses: deque[Pause] = deque()
        self.voices: deque[AskedVoice | None] = deque()
        """One for each `VOICE`; None: the turn's own."""
        self.verbatim: deque[tuple[int, int]] = deque()
        """Spans, counted over all cleaned characters, that are spelled already."""
        self._added: list[str] = []
        self._num_chars = 0

    @property
    def end(self) -> int:
        """Cleaned characters of the turn so far."""
        return self.taken + self._num_chars

    def copy(self, chars: str, first: int) -> None:
        """Characters as they stand in the caller's text from `first` on."""
        end = first + len(chars)
        self._added.append(chars)
        self.firsts.extend(range(first, end))
        self.ends.extend(range(first + 1, end + 1))
        self._num_chars += len(chars)

    def put(self, chars: str, first: int, end: int) -> None:
        """Characters that stand for [first, end) of the caller's text."""
        num_chars = len(chars)
        self._added.append(chars)
        self.firsts.extend([first] * num_chars)
        self.ends.extend([end] * num_chars)
        self._num_chars += num_chars

    def settle(self) -> None:
        """Makes what was added part of `text`; joined once a part, as strings are copied."""
        if self._added:
            self.text += "".join(self._added)
            self._added.clear()

    def drop(self, num_chars: int) -> None:
        """Forgets the first characters of `text`."""
        if num_chars:
            self.text = self.text[num_chars:]
            del self.firsts[:num_chars]
            del self.ends[:num_chars]
            self.taken += num_chars
            self._num_chars -= num_chars
