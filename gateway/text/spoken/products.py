"""Names of products in which a dash is no range: 737-800, i7-12700K, DDR5-6000, Llama-3.1-8B."""

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.rule import Rule, rule, word_before, word_set

_PAGES = word_set("pages page pp p lines line numbers nos from rooms chapters")
_DASH = re.compile(r"\d-\d")


def _airliner(match: re.Match[str]) -> str | None:
    if word_before(match) in _PAGES:
        return None
    return f"{numbers.pairs(match['type'])} {numbers.whole(match['series'])}"


def _processor(match: re.Match[str]) -> str:
    """i7-12700K: twelve seven hundred K."""
    number = match["number"]
    if len(number) == 5:
        said = f"{numbers.pairs(number[:2])} {numbers.pairs(number[2:])}"
    else:
        said = numbers.pairs(number)
    return f"{match['family']} {match['level']} {said} {' '.join(match['suffix'])}".rstrip()


RULES: tuple[Rule, ...] = (
    rule(
        r"(?<![\w.,$-])(?P<type>7[0-8]7)-(?P<series>[1-9]00|8|9|10)(?![\w-]|[.,]\d| ?=)",
        _airliner,
        _DASH,
    ),
    rule(r"(?<!\w)A3\d0(?P<it>-)(?=[1-9]00(?![\w-]))", " ", _DASH),
    rule(
        r"(?<![\w-])(?P<family>i)(?P<level>[3579])-(?P<number>\d{4,5})(?P<suffix>[A-Z]{0,2})(?!\w)",
        _processor,
        _DASH,
    ),
    rule(r"(?<![\w-])DDR\d(?P<it>-)(?=\d{4}(?!\w))", " ", _DASH),
    # A language model and how many parameters it has; in capitals it may be a currency.
    rule(
        r"(?<![\w-])(?:[A-Za-z]{2,16}-|[A-Z][a-z]{2,15})\d{1,2}(?:\.\d{1,2})?(?P<it>-)"
        r"(?=\d{1,4}[BbMKk](?![\w]))",
        " ",
        _DASH,
    ),
)
"""Before the ranges."""
