"""Rules: one regular expression and what takes the place of each match.

They end up in `tokenizer.json` as `Replace` normalizers, whose expressions are Oniguruma's:
look-behind may be of any length (but holds no look-ahead), `\\K` keeps what is before it, `\\A`
and `\\z` are the ends of the text, and the replacement is a constant. So nothing can be moved or
copied; a number is spelled digit by digit from what stands around it, with marks in between. Marks
are private-use characters; those of the user are dropped before the first rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Rule(NamedTuple):
    """`pattern`: Oniguruma. `content`: constant text, no group references."""

    pattern: str
    content: str


Rules = Sequence[Rule]

PREFIX_DIGITS = "".join(chr(0xE100 + digit) for digit in range(10))
"""The speaker number's digits while the text's are spelled."""
ORDINAL = "\ue110"
"""Behind a number: it is an ordinal."""
YEAR = "\ue111"
"""Between century and year: 19|84."""
TRILLION, BILLION, MILLION, THOUSAND = "\ue119", "\ue112", "\ue113", "\ue114"
GROUPS = TRILLION + BILLION + MILLION + THOUSAND
"""Between the groups of three digits."""
HUNDRED = "\ue115"
"""Behind the word hundred, before the two digits left."""
TENS = "\ue116"
"""Behind twenty to ninety, before the digit left."""
PHONE = "\ue117"
"""Between the parts of a telephone number."""
PLURAL = "\ue118"
"""Behind a unit: an s unless there is exactly one."""
SPREAD = "\ue11b"
"""In a run of digits that is read one by one."""
DAY = "\ue11a"
"""Between a month and the day of it."""

ORDINAL_SUFFIX = r"(?:st|nd|rd|th)"


def any_of(words: Iterable[str]) -> str:
    """Return a group that matches any of some plain words, the longest first."""
    return "(?:" + "|".join(sorted(words, key=lambda word: (-len(word), word))) + ")"
