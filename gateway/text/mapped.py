"""A text made of another, and where in the other each of its characters comes from.

Warnings, `text_chars` and the truncation to what was heard speak of the caller's own text, whatever
markup was taken out of it and however its numbers are put into words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Edit(NamedTuple):
    """Characters [start, end) of a text become `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class MappedText:
    """`text`, whose character i comes from characters [firsts[i], ends[i]) of the caller's text."""

    text: str
    firsts: Sequence[int]
    ends: Sequence[int]

    @classmethod
    def of(cls, text: str, first_char: int = 0) -> MappedText:
        """The caller's text itself, or the part of it that begins at `first_char`."""
        end = first_char + len(text)
        return cls(text, range(first_char, end), range(first_char + 1, end + 1))

    def __len__(self) -> int:
        return len(self.text)

    def part(self, start: int, end: int) -> MappedText:
        """Characters [start, end)."""
        return MappedText(self.text[start:end], self.firsts[start:end], self.ends[start:end])

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where characters [start, end) come from; (0, 0) where there are none."""
        if start >= end:
            return 0, 0
        return self.firsts[start], max(self.ends[start:end])

    def stripped(self) -> MappedText:
        """Without white space at the ends."""
        start = len(self.text) - len(self.text.lstrip())
        return self.part(start, max(start, len(self.text.rstrip())))

    def edited(self, edits: Iterable[Edit]) -> MappedText:
        """The text after the edits, which are in order and do not overlap.

        What is put in comes from the whole of what it replaces; what is put in between two
        characters, from the one before it (the one behind it at the very beginning).
        """
        texts: list[str] = []
        firsts: list[int] = []
        ends: list[int] = []
        at = 0
        for start, end, text in edits:
            if start < at or end < start:
                raise ValueError(f"edit [{start}, {end}) is out of order: the last ended at {at}")
            texts += self.text[at:start], text
            firsts += self.firsts[at:start]
            ends += self.ends[at:start]
            if text:
                if start < end:
                    first, last = self.firsts[start], max(self.ends[start:end])
                elif start:
                    first, last = self.firsts[start - 1], self.ends[start - 1]
                elif self.text:
                    first, last = self.firsts[0], self.ends[0]
                else:
                    first = last = 0
                firsts += [first] * len(text)
                ends += [last] * len(text)
            at = end
        texts.append(self.text[at:])
        firsts += self.firsts[at:]
        ends += self.ends[at:]
        return MappedText("".join(texts), firsts, ends)
