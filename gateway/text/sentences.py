"""Text into sentences as it arrives, so that the first is spoken before the last is written.

A sentence ends at a full stop, question or exclamation mark that is really one: not the point of
3.14, not that of "Dr." or "e.g.", not an ellipsis in mid-sentence. Where the next character has
to decide, the splitter waits for it. Long sentences are cut at a comma, else at a space.
"""

# ruff: noqa: RUF001 (punctuation of many scripts is what this file is about)

import unicodedata
from dataclasses import dataclass

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
_UNDECIDED = -1


@dataclass(frozen=True, slots=True)
class Sentence:
    """A piece of a turn's text that is generated in one go."""

    text: str
    """What to speak: no control characters, single spaces, none at the ends."""
    end_chars: int
    """Where it ends in the turn's text as it was given, in characters."""
    first_char: int = 0
    """Where it begins in the turn's text as it was given, in characters."""


def speakable(text: str) -> bool:
    """Whether there is a letter or a digit, of any script, to speak."""
    return any(unicodedata.category(c)[0] in "LN" for c in text)


def clean(text: str) -> str:
    """The text with control characters and runs of white space made single spaces."""
    return " ".join(
        "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text).split()
    )


class SentenceSplitter:
    """Takes the parts of one turn's text, gives its sentences as soon as each is certain."""

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._text = ""
        self._taken = 0

    def feed(self, part: str) -> list[Sentence]:
        """The sentences that `part` completes."""
        self._text += part
        return self._sentences(final=False)

    def finish(self) -> list[Sentence]:
        """The rest of the text."""
        return self._sentences(final=True)

    def _sentences(self, final: bool) -> list[Sentence]:
        found: list[Sentence] = []
        start = 0
        while (end := self._end(start, final)) is not None:
            # A lone "..." or emoji is no sentence: there is nothing in it to speak.
            if speakable(piece := self._text[start:end]):
                first = start + len(piece) - len(piece.lstrip())
                found.append(Sentence(clean(piece), self._taken + end, self._taken + first))
            start = end
        self._text, self._taken = self._text[start:], self._taken + start
        return found

    def _end(self, start: int, final: bool) -> int | None:
        """Where the sentence that begins at `start` ends, or None while that is open."""
        text, size = self._text, len(self._text)
        first = next((i for i in range(start, size) if not text[i].isspace()), size)
        end = self._stop(first) if first < size else None
        if end == _UNDECIDED and not final:
            return None
        found = end is not None and end != _UNDECIDED
        stop = end if end is not None and found else size
        if stop - first > self._max_chars:
            return self._cut(first, stop)
        if found:
            return stop
        return size if final and start < size else None

    def _stop(self, first: int) -> int | None:
        """The end of the first sentence from `first` on; None if there is no stop yet."""
        text, size = self._text, len(self._text)
        at = first
        while at < size:
            if at - first > 2 * self._max_chars:
                return None  # it is cut before any stop further on matters
            char = text[at]
            if char == "\n" and text[at + 1 : at + 2] == "\n":
                return at + 2
            if char not in _STOPS and char not in _WIDE_STOPS:
                at += 1
                continue
            mark, after = at, at + 1
            while after < size and (text[after] in _STOPS or text[after] in _WIDE_STOPS):
                after += 1
            stops_end = after
            while after < size and text[after] in _CLOSERS:
                after += 1
            if after == size:
                return _UNDECIDED
            if any(text[i] in _WIDE_STOPS for i in range(mark, stops_end)):
                return after
            if text[after].isspace():
                verdict = self._is_stop(first, mark, stops_end, after)
                if verdict is None:
                    return _UNDECIDED
                if verdict:
                    return after
            at = after
        return None

    def _is_stop(self, first: int, mark: int, stops_end: int, after: int) -> bool | None:
        """Whether the marks [mark, stops_end) before the white space at `after` end a sentence.

        None: the next word, not yet there, decides.
        """
        text = self._text
        following = next((c for c in text[after:] if not c.isspace()), None)
        marks = text[mark:stops_end]
        continues = following is not None and (following.islower() or following in ",;:")
        if marks == ".":
            word = text[first:mark].split()[-1].lstrip("\"'“‘«([{") if text[first:mark] else ""
            key = word.lower()
            if key in _TITLES:
                return False
            if key in _NUMBERED:
                return None if following is None else not (following.isdigit() or continues)
            if word.isdigit() and text[first:mark].strip() == word:
                return False  # the number of a list's item
            if len(word) == 1 and word.isupper() and word != "I":
                return False  # an initial: J. S. Bach
            if key in _PERHAPS or "." in word:
                return None if following is None else not continues
            if after == stops_end:
                return True
        elif "." not in marks and "…" not in marks and after == stops_end:
            return True
        # An ellipsis, or a quotation that closes: "Why?" she asked.
        return None if following is None else not continues

    def _cut(self, first: int, end: int) -> int:
        """Where to cut a sentence longer than the limit: after a clause, a word, or anywhere."""
        text, limit = self._text, first + self._max_chars
        floor = first + self._max_chars // 3
        for at in range(min(limit, end) - 1, floor, -1):
            wide = text[at] in _WIDE_CLAUSE_MARKS
            if wide or (text[at] in _CLAUSE_MARKS and text[at + 1 : at + 2].isspace()):
                return at + 1
        for at in range(min(limit, end - 1), first, -1):
            if text[at].isspace():
                return at
        # Never between a letter and the marks that combine with it.
        at = limit
        while at > first + 1 and (unicodedata.combining(text[at]) or text[at] in "\u200d\ufe0f"):
            at -= 1
        return at
