"""Fractions and what else is written with a stroke between two numbers."""

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.rule import Rule, rule

_SLASHED_DIGITS = re.compile(r"\d/")
_PAIRS = {"24/7": "twenty four seven", "9/11": "nine eleven", "50/50": "fifty fifty"}
_PAIRS |= {"20/20": "twenty twenty", "7/11": "seven eleven"}
_RATED = re.compile(
    r"\b(?:rat(?:ed?|ing)|scor(?:ed?|es)|g[ao]t|gave|graded?)\b(?: \w{1,12}){0,2} (?:a )?\Z"
)
_PARTS = frozenset((*range(2, 11), 12, 16, 20, 25, 32, 50, 64, 100, 1000))
"""What a whole is divided into."""


def _fraction(match: re.Match[str]) -> str | None:
    above, below = match["above"], match["below"]
    if not match["whole"] and match[0] in _PAIRS:
        return _PAIRS[match[0]]
    if above == below and match.string.startswith(" time", match.end()):
        return f"{numbers.whole(above)} {numbers.whole(below)}"
    if above == below and int(above) > 1 and not match["whole"]:
        return f"{numbers.whole(above)} out of {numbers.whole(below)}"
    if len(above) == 4 and len(below) == 2 and above[:2] in ("19", "20"):
        return f"{numbers.year(above)} {numbers.two_digits(below)}"
    if below in ("5", "10", "100") and not match["whole"]:
        after = match.string[match.end() : match.end() + 7]
        if _RATED.search(
            match.string, max(0, match.start() - 40), match.start()
        ) or after.startswith(" stars"):
            return f"{numbers.whole(above)} out of {numbers.whole(below)}"
    if match["whole"] or (int(above) < int(below) and int(below) in _PARTS):
        words = numbers.amount(match[0])
        if match[0] == "1/2" and match["article"] is not None:
            return "half"
        return words
    return f"{numbers.whole(above)} over {numbers.whole(below)}"


def _score(match: re.Match[str]) -> str | None:
    return " out of " if float(match["points"]) <= float(match["most"]) else None


RULES: tuple[Rule, ...] = (
    # Of stars and grades; 2.5/10 mg is a dose.
    rule(
        r"(?<![\w.,/])(?P<points>\d{1,2}\.\d{1,2})(?P<it> ?/ ?)"
        r"(?=(?P<most>5|10|100|4\.0|5\.0)(?![\w/]|[.,]\d| (?:m?[gl]|mm|cm)\b))",
        _score,
        re.compile(r"\d ?/"),
    ),
    rule(
        r"(?<![\w.,/])(?:(?P<whole>\d{1,9}) )?(?P<above>\d{1,9})/(?P<below>[1-9]\d{0,8})(?![\w/])"
        r"(?!\.\d)(?P<article>(?= an? ))?",
        _fraction,
        _SLASHED_DIGITS,
    ),
)
