"""Cleaned text into sentences as it arrives, so that the first is spoken before the last is
written.

A sentence ends at a full stop, question or exclamation mark that is really one: not the point of
3.14, not that of "Dr." or "e.g.", not an ellipsis in mid-sentence. Where the next characters have
to decide, the cutter waits for them. Long sentences are cut at a comma, else at a space.
"""

import re
from typing import NamedTuple

from gateway.text.cut import best_cut
from gateway.text.markup.cleaned import HARD_BREAKS, LINE, Cleaned
from gateway.text.sentence_ends import (
    CLOSERS,
    LOOK_AHEAD_CHARS,
    LOOK_BACK_CHARS,
    STOPS,
    WIDE_STOPS,
    ends_ordinal,
    ends_sentence,
    ends_without_space,
    goes_on,
)

_ENDING = re.compile(f"[{re.escape(STOPS + WIDE_STOPS + HARD_BREAKS + LINE)}]")
_RUN = re.compile(f"[{re.escape(STOPS + WIDE_STOPS)}]*")
_CLOSING = re.compile(f"[{re.escape(CLOSERS)}]*")
_ENDED = re.compile(f"[{re.escape(STOPS + WIDE_STOPS)}]+[{re.escape(CLOSERS)}]*$")
_GAP = re.compile(r"\s*")
_HARD = re.compile(f"[{HARD_BREAKS}]")
_MIN_WRAPPED_COLUMNS = 55


class Span(NamedTuple):
    """Characters [start, end) of the cleaned text are a sentence."""

    start: int
    end: int


class SentenceCutter:
    """Finds the sentences of `cleaned`; indices are those of its text."""

    def __init__(self, cleaned: Cleaned, max_chars: int, ordinals: bool = False) -> None:
        """Sentences of more than `max_chars` characters are cut. `ordinals`: a full stop behind a
        number makes it an ordinal, as in German."""
        self._cleaned = cleaned
        self._ordinals = ordinals
        self._max_chars = max_chars
        self.first = 0
        """Where the sentence begins that is not yet complete."""
        self._at = 0
        """What is looked at next."""
        self._mark = -1
        """Where the run of stops before `_at` begins."""
        self._marks_end = -1
        self._closed_end = -1
        """Behind a sign that closes the sentence after a space."""
        self._line = 0
        """Where the line begins."""
        self._wrapped = False
        """Whether the line before it was full."""

    def next(self, final: bool) -> Span | None:
        """The next sentence; None while what is there leaves it open."""
        self._skip_breaks()
        end = self._end(final)
        if end is None:
            if not final or self.first >= len(self._cleaned.text):
                return None
            end = len(self._cleaned.text)
        span = Span(self.first, end)
        self.first = self._at = end
        self._mark = self._marks_end = self._closed_end = -1
        return span

    def forget(self, num_chars: int) -> None:
        """The first characters of the text are gone."""
        self.first -= num_chars
        self._at -= num_chars
        self._line -= num_chars
        if self._mark >= 0:
            self._mark -= num_chars
        if self._marks_end >= 0:
            self._marks_end -= num_chars

    def is_complete(self) -> bool:
        """Whether the text ends where a sentence does, unless what follows goes on with it."""
        text = self._cleaned.text
        end = len(text.rstrip())
        if LINE in text[end:]:
            return end > self.first
        match = _ENDED.search(text[max(self.first, end - 16) : end])
        if match is None:
            return False
        mark = max(self.first, end - 16) + match.start()
        marks = _RUN.match(text, mark)
        assert marks is not None
        closed = marks.end() < end
        return self._verdict(mark, marks.end(), closed, "", True) is not False

    def _skip_breaks(self) -> None:
        text, first = self._cleaned.text, self.first
        while first < len(text) and text[first].isspace():
            if text[first] != " ":
                full = first - self._line >= _MIN_WRAPPED_COLUMNS
                self._line, self._wrapped = first + 1, full and text[first] == LINE
            first += 1
        if first != self.first:
            self.first = first
            self._at = max(self._at, first)

    def _verdict(
        self, mark: int, marks_end: int, closed: bool, after: str, final: bool
    ) -> bool | None:
        text = self._cleaned.text
        start = max(self.first, mark - LOOK_BACK_CHARS)
        before, marks = text[start:mark], text[mark:marks_end]
        if self._ordinals and marks == "." and before[-1:].isdigit():
            return ends_ordinal(before, after, final)
        return ends_sentence(before, marks, closed, start == self.first, after, final)

    def _end(self, final: bool) -> int | None:
        """Where the sentence at `first` ends."""
        text, size, limit = (
            self._cleaned.text,
            len(self._cleaned.text),
            self.first + self._max_chars,
        )
        while True:
            if self._mark < 0:
                found = _ENDING.search(text, self._at)
                self._at = found.start() if found else size
                if self._at > limit:
                    return self._cut()
                if found is None:
                    return None
                char = text[self._at]
                if char in HARD_BREAKS:
                    return self._at
                if char == LINE:
                    verdict = self._ends_at_line(self._at, final)
                    if verdict is None:
                        return None
                    if verdict:
                        return self._at
                    self._at += 1
                    continue
                self._mark = self._at
            end = self._end_of_run()
            if end > limit:
                return self._cut()
            if end == size:
                return None
            verdict = self._ends_at_stop(end, final)
            if verdict is None:
                return None
            if verdict:
                return max(end, self._closed_end)
            self._mark = self._marks_end = -1
            self._at = end
            if end < size and text[end] == LINE:
                self._at = end + 1

    def _end_of_run(self) -> int:
        """Where the stops at `_mark`, and what closes behind them, end; so far."""
        text = self._cleaned.text
        if self._marks_end < 0:
            run = _RUN.match(text, self._at)
            assert run is not None
            self._at = run.end()
            if self._at == len(text):
                return self._at
            self._marks_end = self._at
        closing = _CLOSING.match(text, self._at)
        assert closing is not None
        self._at = closing.end()
        return self._at

    def _ends_at_stop(self, end: int, final: bool) -> bool | None:
        text = self._cleaned.text
        mark, marks_end = self._mark, self._marks_end
        closed = end > marks_end
        if not text[end].isspace():
            start = max(self.first, mark - LOOK_BACK_CHARS)
            after = text[end : end + LOOK_AHEAD_CHARS]
            return ends_without_space(text[start:mark], text[mark:marks_end], closed, after, final)
        gap = _GAP.match(text, end)
        assert gap is not None
        if not set(text[mark:marks_end]).isdisjoint(WIDE_STOPS):
            return True
        if _HARD.search(text, end, gap.end()):
            # Only stops that end nothing leave the end to the break.
            return self._verdict(mark, marks_end, closed, "", False) is not False
        after = text[gap.end() : gap.end() + LOOK_AHEAD_CHARS]
        if text.rfind("«", self.first, mark) > text.rfind("»", self.first, mark):
            if not after and not final:
                return None
            if after[:1] == "»":  # « Bonjour. »
                return self._ends_behind(gap.end() + 1, final)
        verdict = self._verdict(mark, marks_end, closed, after, final)
        if verdict is False and text[end] == LINE:
            return self._ends_at_line(end, final)
        return verdict

    def _ends_behind(self, end: int, final: bool) -> bool | None:
        """Whether the sentence ends at `end`, behind a sign that closes it after a space."""
        text = self._cleaned.text
        gap = _GAP.match(text, end)
        assert gap is not None
        after = text[gap.end() : gap.end() + LOOK_AHEAD_CHARS]
        verdict = self._verdict(self._mark, self._marks_end, True, after, final)
        if verdict:
            self._closed_end = end
        return verdict

    def _ends_at_line(self, line: int, final: bool) -> bool | None:
        text = self._cleaned.text
        gap = _GAP.match(text, line)
        assert gap is not None
        if _HARD.search(text, line, gap.end()):
            return True
        columns = line - self._line
        after = text[gap.end() : gap.end() + LOOK_AHEAD_CHARS]
        start = max(self.first, line - LOOK_BACK_CHARS)
        on = goes_on(text[start:line], columns, self._wrapped, after, final)
        if on:
            self._line, self._wrapped = line + 1, columns >= _MIN_WRAPPED_COLUMNS
        return None if on is None else not on

    def _cut(self) -> int:
        """Where to cut a sentence longer than the limit."""
        limit = self._max_chars
        return self.first + best_cut(self._cleaned.text[self.first : self.first + limit + 1], limit)
