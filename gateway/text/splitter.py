"""Text into sentences as it arrives, so that the first is spoken before the last is written.

A sentence ends at a full stop, question or exclamation mark that is really one: not the point of
3.14, not that of "Dr." or "e.g.", not an ellipsis in mid-sentence. Where the next character has
to decide, the splitter waits for it. Long sentences are cut at a comma, else at a space.
"""

# ruff: noqa: RUF001 (punctuation of many scripts is what this file is about)

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_STOPS = frozenset(".!?…")
_WIDE_STOPS = frozenset("。！？｡")
_CLOSERS = frozenset("\"'”’»)]}」』）】》")
_CLAUSE_MARKS = frozenset(",;:–—،؛")
_WIDE_CLAUSE_MARKS = frozenset("，、；：")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Always followed by more of the same sentence.
_TITLES = _words(
    """
    mr mrs ms dr prof rev gen sen rep gov capt cmdr lt col sgt maj hon pres st mt messrs
    mmes vs cf e.g i.e viz approx hr herr fr mme mlle bzw z.b
    """
)
# Abbreviations where a number follows, words of their own where none does: "No. 5", "No."
_NUMBERED = _words(
    """
    no nos nr fig figs eq vol p pp ch sec art v ca
    """
)
# May also end a sentence: what follows decides.
_PERHAPS = _words(
    """
    etc al inc ltd co corp jr sr esq dept univ assn bros ave blvd rd jan feb mar apr jun
    jul aug sep sept oct nov dec mon tue wed thu fri sat sun a.m p.m am pm u.s u.k u.n e.u
    ph.d b.c a.d usw
    """
)
_OPENERS = "\"'“‘«([{"
_MAX_MARKS = 32
"""Marks that a letter may carry and not be parted from: Unicode's own bound is 30."""


@dataclass(frozen=True, slots=True)
class SplitSentence:
    """A piece of a turn's text that is generated in one go."""

    text: str
    """What to speak: no control characters, single spaces, none at the ends."""
    end_chars: int
    """Where it ends in the turn's text as it was given, in characters."""
    first_char: int = 0
    """Where its first character that is no white space is, in the turn's text as it was given."""


def speakable(text: str) -> bool:
    """Whether there is a letter or a digit, of any script, to speak."""
    return any(unicodedata.category(c)[0] in "LN" for c in text)


def clean(text: str) -> str:
    """The text with control characters and runs of white space made single spaces."""
    return " ".join(
        "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text).split()
    )


class _Where(Enum):
    """What the splitter has before it."""

    TEXT = 1
    STOPS = 2
    """A run of stops, from `_mark` on."""
    CLOSERS = 3
    """What closes behind them, from `_stops_end` on."""
    SPACE = 4
    """White space behind both, from `_after` on: what follows it decides."""


class SentenceSplitter:
    """Takes the parts of one turn's text, gives its sentences as soon as each is certain."""

    def __init__(self, max_chars: int) -> None:
        """Sentences of more than `max_chars` characters are cut."""
        self._max_chars = max_chars
        self._chars: list[str] = []
        """What is not yet given. A list, as a string would be copied with every part."""
        self._taken = 0
        """Characters of the text before it."""
        self._first = self._at = 0
        """Where the sentence begins, and what is looked at next."""
        self._where = _Where.TEXT
        self._mark = self._stops_end = self._after = 0

    def feed(self, part: str) -> list[SplitSentence]:
        """The sentences that `part` completes."""
        self._chars.extend(part)
        found = list(self._sentences())
        self._forget()
        return found

    def finish(self) -> list[SplitSentence]:
        """The rest of the text."""
        found = list(self._sentences())
        size = len(self._chars)
        while self._first < size:
            # Only white space that waits for what follows may be longer than a sentence.
            fits = size - self._first <= self._max_chars
            found += self._sentence(size if fits else self._cut())
            found += self._sentences()
        self._forget()
        return found

    def _forget(self) -> None:
        """Lets go of what was given."""
        num_chars = self._first
        if num_chars:
            del self._chars[:num_chars]
            self._taken += num_chars
            self._first = 0
            self._at -= num_chars
            self._mark -= num_chars
            self._stops_end -= num_chars
            self._after -= num_chars

    def _sentences(self) -> Iterator[SplitSentence]:
        while (end := self._end()) is not None:
            yield from self._sentence(end)

    def _sentence(self, end: int) -> Iterator[SplitSentence]:
        """The sentence from `_first` to `end`; the next one begins there."""
        first = self._first
        self._first = self._at = end
        self._where = _Where.TEXT
        piece = "".join(self._chars[first:end])
        # A lone "..." or emoji is no sentence: there is nothing in it to speak.
        if speakable(piece):
            yield SplitSentence(clean(piece), self._taken + end, self._taken + first)

    def _end(self) -> int | None:
        """Where the sentence at `_first` ends; None while what is there leaves that open."""
        chars, size = self._chars, len(self._chars)
        while self._at < size:
            at, char = self._at, chars[self._at]
            if self._where is _Where.SPACE:
                if char.isspace():
                    self._at += 1
                    continue
                if self._is_stop(char):
                    return self._after
                # The sentence goes on; a blank line may end it before this character.
                self._at, self._where = self._after, _Where.TEXT
                continue
            if self._where is not _Where.TEXT and not self._in_run(at, char):
                if self._is_wide_stop():
                    return at
                verdict = self._is_stop(None) if char.isspace() else False
                if verdict:
                    return at
                if verdict is None:
                    self._after, self._where = at, _Where.SPACE
                    continue
                self._where = _Where.TEXT
            self._at += 1
            if self._where is _Where.TEXT:
                if char in _STOPS or char in _WIDE_STOPS:
                    self._mark, self._where = at, _Where.STOPS
                elif char.isspace():
                    if at == self._first:
                        self._first += 1
                        continue
                    if char == chars[at - 1] == "\n":
                        return at + 1 if at - self._first < self._max_chars else self._cut()
            if at - self._first >= self._max_chars:
                # Whatever comes, the sentence is longer than that.
                return self._cut()
        return None

    def _in_run(self, at: int, char: str) -> bool:
        """Whether `char` belongs to the stops, or to what closes behind them."""
        if self._where is _Where.STOPS:
            if char in _STOPS or char in _WIDE_STOPS:
                return True
            self._stops_end, self._where = at, _Where.CLOSERS
        return char in _CLOSERS

    def _is_wide_stop(self) -> bool:
        return not _WIDE_STOPS.isdisjoint(self._chars[self._mark : self._stops_end])

    def _is_stop(self, following: str | None) -> bool | None:
        """Whether the marks before the white space at `_at`, or at `_after`, end a sentence.

        `following` is the first character behind the white space, None while that is not there.
        None: it decides.
        """
        chars, mark = self._chars, self._mark
        marks = "".join(chars[mark : self._stops_end])
        closed = (self._after if self._where is _Where.SPACE else self._at) > self._stops_end
        continues = following is not None and (following.islower() or following in ",;:")
        if marks == ".":
            end = mark
            while end > self._first and chars[end - 1].isspace():
                end -= 1
            begin = end
            while begin > self._first and not chars[begin - 1].isspace():
                begin -= 1
            whole = "".join(chars[begin:end])
            word = whole.lstrip(_OPENERS)
            key = word.lower()
            if key in _TITLES:
                return False
            if key in _NUMBERED:
                return None if following is None else not (following.isdigit() or continues)
            if word.isdigit() and word == whole and begin == self._first:
                return False  # the number of a list's item
            if len(word) == 1 and word.isupper() and word != "I":
                return False  # an initial: J. S. Bach
            if key in _PERHAPS or "." in word:
                return None if following is None else not continues
            if not closed:
                return True
        elif "." not in marks and "…" not in marks and not closed:
            return True
        # An ellipsis, or a quotation that closes: "Why?" she asked.
        return None if following is None else not continues

    def _cut(self) -> int:
        """Where to cut a sentence longer than the limit: after a clause, a word, or anywhere."""
        chars, first = self._chars, self._first
        limit = first + self._max_chars
        for at in range(limit - 1, first + self._max_chars // 3, -1):
            wide = chars[at] in _WIDE_CLAUSE_MARKS
            if wide or (chars[at] in _CLAUSE_MARKS and chars[at + 1].isspace()):
                return at + 1
        for at in range(limit, first, -1):
            if chars[at].isspace():
                return at
        # Never between a letter and the marks that combine with it.
        for at in range(limit, max(first, limit - _MAX_MARKS), -1):
            if not (unicodedata.combining(chars[at]) or chars[at] in "\u200d\ufe0f"):
                return at
        return limit
