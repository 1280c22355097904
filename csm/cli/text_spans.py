"""TextSpans of a text, in order."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class TextSpan(NamedTuple):
    """Characters [first, end) of a text."""

    first: int
    end: int


class TextSpans:
    """Those that overlap are one; those that only touch are not."""

    def __init__(self, spans: Iterable[TextSpan]) -> None:
        self._spans: list[TextSpan] = []
        for span in sorted(spans):
            last = self._spans[-1] if self._spans else None
            if last is not None and span.first < last.end:
                self._spans[-1] = TextSpan(last.first, max(last.end, span.end))
            else:
                self._spans.append(span)

    def are_cut_at(self, position: int) -> bool:
        """Whether a cut there goes through one of them."""
        at = bisect_left(self._spans, position, key=lambda span: span.first) - 1
        return at >= 0 and self._spans[at].end > position

    def holding(self, position: int) -> TextSpan | None:
        """The one that the character at `position` is of."""
        at = bisect_right(self._spans, position, key=lambda span: span.first) - 1
        return self._spans[at] if at >= 0 and self._spans[at].end > position else None

    def between(self, begin: int, end: int) -> Iterator[TextSpan]:
        """What of [begin, end) they have."""
        at = bisect_right(self._spans, begin, key=lambda span: span.end)
        while at < len(self._spans) and self._spans[at].first < end:
            span = self._spans[at]
            yield TextSpan(max(begin, span.first), min(end, span.end))
            at += 1
