"""Numbers in digits: how their digits are grouped, ranges, decades, ordinals, years, the rest."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.numbers import AT_NUMBER, NUMBER
from gateway.text.spoken.rule import DIGIT, Rule, rule, word_after, word_before, word_set

_YEAR_AFTER = word_set(
    """
    in since until till before after during circa ca year years summer spring fall winter
    autumn early late mid class anno copyright born died founded established est january
    february march april may june july august september october november december between model
    vintage by from of around
    """
)
"""Words before a year."""
_NUMBER_AFTER = word_set(
    """
    about over nearly than exactly approximately roughly some only least most almost costs cost
    equals minus plus times number weighs totaling totalling total
    """
)
"""Words before a number that is no year."""
_COUNTED = word_set(
    """
    people men women children feet percent degrees sheep fish times dollars euros pounds yen
    hundred thousand million billion trillion or more
    """
)
_NOT_COUNTED = word_set(
    """
    was is has does its this thus as us perhaps always sometimes plus minus versus towards
    besides across unless whereas his hers ours yours theirs saw sees goes says gets lets
    series
    """
)


_FRACTION = re.compile(r"\d/\d")


def _ungrouped(match: re.Match[str]) -> str:
    return re.sub(r"[^\d]", ",", match[0])


def _spaced(match: re.Match[str]) -> str | None:
    """1 000 000; one group alone only where it is 000, as 12 345 may be two numbers."""
    groups = match[0].split(" ")
    if len(groups) == 2 and groups[1] != "000":
        return None
    return ",".join(groups)


def _continental(match: re.Match[str]) -> str:
    return match[1].replace(".", ",") + "." + match[2]


def _lakhs(match: re.Match[str]) -> str:
    return f"{int(match[0].replace(',', '')):,}"


GROUPING: tuple[Rule, ...] = (
    # 5-1/2 is 5 1/2.
    rule(r"(?<![\w.,/-])\d{1,3}(?P<it>-)(?=[1-9]\d?/\d{1,2}(?![\w/]))", " ", _FRACTION),
    rule(r"(?<![\w.,])\d{1,3}(?:[\u00a0\u2009\u202f'’_]\d{3})++(?!\w)", _ungrouped, DIGIT),
    rule(
        r"(?<![\w.,+/:-])(?<!\d )\d{1,3}(?: \d{3}){1,7}+(?![\w/:-])(?!(?: |[.,])\d)", _spaced, DIGIT
    ),
    rule(
        r"(?<![\w.,+/:-])(?<!\d )(\d{1,3}(?: \d{3}){1,7}),(\d\d?)(?![\w,])",
        lambda match: f"{match[1].replace(' ', ',')}.{match[2]}",
        DIGIT,
    ),
    rule(r"(?<![\w.,])(\d{1,3}(?:\.\d{3})++),(\d++)(?!\w|,\d)", _continental, DIGIT),
    rule(r"(?<![\w.,])\d{1,3}(?:\.\d{3}){2,9}+(?![\w.])", _ungrouped, DIGIT),
    rule(r"(?<![\w.,])\d{1,2}(?:,\d\d){1,9},\d{3}(?!\w|,\d)", _lakhs, DIGIT),
    # Of a point or a list: (3,4), but (1,234) and (0,05).
    rule(r"(?<=[(\[])\d{1,9}+(?P<it>,)(?=(?:0|[1-9]\d?|[1-9]\d{3,8})[)\]])", ", ", DIGIT),
    rule(r"(?<![\w.,])\d{1,9}+(?P<it>,)(?:\d\d?|\d{4,9}+)(?![\d,]|\.\d|/)", lambda _: ".", DIGIT),
)
"""Early: whatever the country, a number is as `numbers.NUMBER` has it after them."""


def _spaced_dash(match: re.Match[str]) -> str:
    """10 - 4 = 6 is a sum, 10 - 20 a range."""
    after = match.string[match.end() : match.end() + 24]
    before = match.string[max(0, match.start() - 24) : match.start()]
    return " minus " if "=" in after or "=" in before or "+" in before else " to "


_SUM = re.compile(r"[$€£¥₹][\d.,]{1,20}[kKmMbB]?\Z")


_EQUALS = re.compile(r"[\d.,]{1,20} ?=")
_EVEN_BEFORE = re.compile(r"(?<!\d)50\Z")
_EVEN_AFTER = re.compile(r"50(?![\d.,]?\d|%)")


_NAMED = re.compile(r"(?<!\w)(?:[A-Z]{2,8}-\d{2,12}|number \d{3,12})\Z")
"""A number with the letters of what it numbers."""


def _to(match: re.Match[str]) -> str | None:
    """5-10; $5-10 is left to the money."""
    start, end = match.span()
    if _EVEN_BEFORE.search(match.string, max(0, start - 4), start) and _EVEN_AFTER.match(
        match.string, end
    ):
        return " "  # fifty fifty
    if _EQUALS.match(match.string, end):
        return " minus "
    if _NAMED.search(match.string, max(0, start - 24), start):
        return " "  # INV-2024-0042
    return None if _SUM.search(match.string, max(0, start - 24), start) else " to "


RANGES: tuple[Rule, ...] = (
    rule(r"\b([A-Z])\d{1,2}(?P<it> ?[–-] ?)(?=\1\d)", " to ", DIGIT),
    rule(r"(?<=[\d%°])(?: ?[–—] ?|-)(?=[$€£¥₹]?\.?\d)", _to, DIGIT),
    rule(r"(?<=\d)(?:st|nd|rd|th)(?P<it> ?[–-] ?)(?=\d)", " to ", DIGIT),
    rule(r"(?<=[\d%°]) - (?=[$€£¥₹]?\d)", _spaced_dash, DIGIT),
    rule(r"(?<=\d)(?: ?[a-zA-Z]{1,3})(?P<it> ?– ?)(?=\d)", " to ", DIGIT),
)
MINUS: tuple[Rule, ...] = (
    # The exponent of 10^-6 is read with its base.
    rule(r"""(?<![\w)\]}%°"'.\-–—$€£¥₹])(?<![\w)\]}]\^)[-–](?=[$€£¥₹]?\.?\d)""", "minus ", DIGIT),
)


def _decade(match: re.Match[str]) -> str:
    written = match["it"].lstrip("'").rstrip("s").rstrip("'")
    if len(written) == 2 or written.endswith("000"):
        words = numbers.cardinal(written)
    else:
        words = numbers.year(written)
    *before, last = words.split()
    return " ".join([*before, numbers.plural(last)])


_DECADE_WORDS = (
    "the|early|late|mid|in|of|his|her|their|my|our|your|and|to|upper|lower|high|low|twenties|The"
)


def _ordinal(match: re.Match[str]) -> str:
    plain = match["number"].replace(",", "")
    if len(plain) > numbers.MAX_DIGITS:
        return f"{numbers.digits(plain)} {match['suffix']}"
    return numbers.ordinal(plain)


def is_counted(word: str) -> bool:
    """Whether what follows a number is what it counts: people, apples."""
    if not word.islower() or word in _NOT_COUNTED:
        return False
    return word in _COUNTED or (len(word) > 3 and word[-1] == "s" and word[-2] not in "su")


def _is_year(match: re.Match[str]) -> bool:
    written = match["number"]
    if not "1000" <= written <= "2099":
        return False
    before, after = word_before(match, "number"), word_after(match, "number")
    leads = before in _YEAR_AFTER
    if written < "1100" and not leads:
        return False
    start = match.start("number")
    left = match.string[max(0, start - 8) : start].rstrip()
    if before in _NUMBER_AFTER or left.endswith(("=", "+", "*", "<", ">")):
        return False
    if after in _COUNTED:
        return before == "in" and after != "more"
    if is_counted(after):
        return leads or (before == "the" and written >= "1900")
    return True


def _plain(match: re.Match[str]) -> str:
    written = match["number"]
    if len(written) == 4 and written.isdecimal() and _is_year(match):
        return numbers.year(written)
    return numbers.number(written)


DECADES: tuple[Rule, ...] = (
    rule(r"(?<=\d0s)(?: ?[–-] ?)(?='?\d{1,3}0s)", " to ", DIGIT),
    rule(r"(?<![\w'])'(\d\d)(?![\w'.,]\w|['\w])", lambda match: numbers.whole(match[1]), DIGIT),
    rule(r"(?<!\w)(?P<it>'\d0'?s)(?!\w)", _decade, DIGIT),
    rule(rf"\b(?:{_DECADE_WORDS})[ -](?P<it>[2-9]0'?s)(?!\w)", _decade, DIGIT),
    rule(r"(?<![\w.,])(?P<it>[1-9]\d\d0'?s)(?!\w)", _decade, DIGIT),
)
"""Before the units: seconds are written alike."""

PLAIN: tuple[Rule, ...] = (
    rule(
        r"(?<![\w.])(?<!\d,)(?P<number>\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?P<suffix>st|nd|rd|th|ST|ND|RD|TH)(?!\w)",
        _ordinal,
        DIGIT,
    ),
    rule(rf"{AT_NUMBER}(?P<number>{NUMBER})(?:(?=\D)|\Z)", _plain, DIGIT),
    rule(rf"(?P<number>{NUMBER})", lambda match: numbers.number(match[0]), DIGIT),
)
"""Last: after them no digit is left."""
