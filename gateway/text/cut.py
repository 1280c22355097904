"""Where to cut a text that is too long."""

# ruff: noqa: RUF001 (marks of many scripts)

import unicodedata

_CLAUSE_MARKS = frozenset(",;:–—،؛")
_WIDE_CLAUSE_MARKS = frozenset("，、；：")
_MAX_MARKS = 32
"""Marks that a letter may carry and not be parted from: Unicode's own bound is 30."""
_JOINERS = "\u200c\u200d\ufe0f"


def best_cut(text: str, limit: int) -> int:
    """Where to cut a text of more than `limit` characters: after a clause, a word, or anywhere but
    between a letter and the marks that combine with it. At most `limit`."""
    for at in range(limit - 1, limit // 3, -1):
        wide = text[at] in _WIDE_CLAUSE_MARKS
        if wide or (text[at] in _CLAUSE_MARKS and text[at + 1].isspace()):
            return at + 1
    for at in range(limit, 0, -1):
        if text[at].isspace():
            return at
    for at in range(limit, max(0, limit - _MAX_MARKS), -1):
        if not (unicodedata.combining(text[at]) or text[at] in _JOINERS):
            return at
    return limit
