"""Dates: of numbers, with a month's name, ranges of them, days of the week."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.rule import DIGIT, Rule, any_of, rule, word_before, word_set

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_SHORT = {month[:3]: month for month in MONTHS} | {"Sept": "September"}
_SHORT_DAYS = {
    "Mon": "Monday",
    "Tue": "Tuesday",
    "Tues": "Tuesday",
    "Wed": "Wednesday",
    "Thu": "Thursday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
    "Fri": "Friday",
    "Sat": "Saturday",
    "Sun": "Sunday",
}
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_SUFFIX = "(?:st|nd|rd|th)"
_YEAR = r"(?:1[0-9]\d\d|20\d\d)"
_MONTH = any_of([*MONTHS, *(month.upper() for month in MONTHS)])
_SHORTS = any_of([*(short for short in _SHORT if short != "May"), *map(str.upper, _SHORT)])
_SLASHED = re.compile(r"\d[/.-]\d")
_SHORT_NEEDS = re.compile("J[au]|F[eE]|M[aA]|A[pPuU]|S[eE]|O[cC]|N[oO]|D[eE]|J[AU]")
_WEEKDAYS = re.compile("Mon|Tue|Wed|Thu|Fri|Sat|Sun|day")
_ON = word_set("on by until till since before after due dated from around born starting")


def _name(month: str) -> str:
    title = month.rstrip(".").title()
    return _SHORT.get(title, title)


def _spoken(year: str | None, month: int, day: str) -> str:
    words = f"{MONTHS[month - 1]} {numbers.ordinal(day)}"
    return f"{words}, {numbers.year(year)}" if year else words


def _iso(match: re.Match[str]) -> str | None:
    month, day = int(match["month"]), int(match["day"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return _spoken(match["year"], month, match["day"]) + (" at " if match["time"] else "")


def _numeric(match: re.Match[str]) -> str | None:
    """11/29/2026 and 29/11/2026; where both could be, the American order, with dots the other."""
    first, second = int(match["first"]), int(match["second"])
    day_first = first > 12 or (match["mark"] == "." and second <= 12)
    month, day = (second, first) if day_first else (first, second)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    year = match["year"]
    if len(year) == 2:
        year = ("19" if year > "50" else "20") + year
    return _spoken(year, month, str(day))


def _day_and_month(match: re.Match[str]) -> str | None:
    """On 12/25; elsewhere that is a fraction."""
    first, second = int(match["first"]), int(match["second"])
    if word_before(match) not in _ON or not (1 <= first <= 12 and 1 <= second <= 31):
        return None
    return _spoken(None, first, str(second))


def _ordinals(match: re.Match[str]) -> str:
    """The day behind a month, or two of them: March 5, March 5th, March 5-7."""
    words = numbers.ordinal(match["day"])
    if match["last"]:
        words += f" to {numbers.ordinal(match['last'])}"
    if match["year"]:
        words += f", {numbers.year(match['year'])}"
    return words


def _day_first(match: re.Match[str]) -> str:
    """29 Nov, 29th of November, 5-7 November."""
    words = numbers.ordinal(match["day"])
    if match["last"]:
        words += f" to {numbers.ordinal(match['last'])}"
    the = "" if word_before(match) == "the" else "the "
    year = f", {numbers.year(match['year'])}" if match["year"] else ""
    return f"{the}{words} of {match['month']}{year}"


def _month_alone(match: re.Match[str]) -> str:
    after = match.string[match.end() : match.end() + 8].strip("\"')")
    dot = "." if match["it"].endswith(".") and not after else ""
    return _name(match["it"]) + dot


def _weekday(match: re.Match[str]) -> str:
    written = match["it"]
    ends = written.endswith(".") and match.end() == len(match.string)
    return _SHORT_DAYS[written.rstrip(".")] + ("." if ends else "")


RULES: tuple[Rule, ...] = (
    rule(
        r"(?<![\w./-])(?P<year>\d{4})(?P<mark>[-/])(?P<month>\d\d?)(?P=mark)(?P<day>\d\d?)"
        r"(?:(?![\w/-])(?!\.\d)|(?P<time>[T ](?=\d\d:\d\d)))",
        _iso,
        _SLASHED,
    ),
    rule(
        r"(?<![\w./-])(?P<first>\d\d?)(?P<mark>[/.-])(?P<second>\d\d?)(?P=mark)(?P<year>\d{4}|\d\d)"
        r"(?![\w/-])(?!\.\d)",
        _numeric,
        _SLASHED,
    ),
    rule(
        r"(?<![\w./-])(?P<first>\d\d?)/(?P<second>\d\d?)(?![\w/-])(?! of\b)",
        _day_and_month,
        _SLASHED,
    ),
    # 5-May-2024, and what stands between two dates.
    rule(
        rf"(?<![\w-])(?P<day>{_DAY})[-/](?P<month>{_MONTH}|{_SHORTS})[-/](?P<year>{_YEAR})(?![\w-])",
        lambda match: (
            f"the {numbers.ordinal(match['day'])} of {_name(match['month'])}, "
            f"{numbers.year(match['year'])}"
        ),
        DIGIT,
    ),
    rule(rf"(?<=\d)(?P<it> [–-] )(?=(?:{_MONTH}|{_SHORTS})\b)", " to ", DIGIT),
    # Jan.-Mar. 2024, Dec. 5, 5 Dec: the whole month, and the word between two of them.
    rule(
        rf"\b(?P<it>{_SHORTS}\.?)(?= ?[–-] ?(?:{_SHORTS}|{_MONTH})\b)", _month_alone, _SHORT_NEEDS
    ),
    rule(rf"\b(?:{_MONTH})(?P<it> ?[–-] ?)(?=(?:{_SHORTS}|{_MONTH})\b)", " to ", _SHORT_NEEDS),
    rule(rf"\b(?P<it>{_SHORTS}(?:\.|(?=,? ?['\d])))(?!\w)", _month_alone, _SHORT_NEEDS),
    rule(rf"(?<=\d) (?P<it>{_SHORTS})(?![\w.])", _month_alone, DIGIT),
    rule(rf"(?<=\d[a-z][a-z] )(?P<it>{_SHORTS})(?![\w.])", _month_alone, DIGIT),
    rule(rf"(?<=\dth of )(?P<it>{_SHORTS})(?![\w.])", _month_alone, DIGIT),
    rule(
        rf"(?<![\w.,:/$€£-])(?P<day>{_DAY}){_SUFFIX}?(?: ?[–-] ?(?P<last>{_DAY}){_SUFFIX}?)?"
        rf"(?: of)? (?P<month>{_MONTH})(?:,? (?P<year>{_YEAR}))?(?!\w)",
        _day_first,
        DIGIT,
    ),
    rule(
        rf"\b(?:{_MONTH}) (?:the )?(?P<it>(?P<day>{_DAY})(?:{_SUFFIX})?"
        rf"(?: ?[–-] ?(?P<last>{_DAY})(?:{_SUFFIX})?(?![\d:]))?"
        rf"(?:,? (?P<year>{_YEAR})(?!\w))?)(?![\w:%])(?!,\d|\.\d)",
        _ordinals,
        DIGIT,
    ),
    rule(r"\b(?P<it>(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri)\.)(?!\w)", _weekday, _WEEKDAYS),
    rule(
        r"\b(?P<it>(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\.?)"
        r"(?=(?:,? \d|, (?:the\b|[A-Z])|(?<=\.) (?:at|to|and|or|from|until|through|the)\b"
        r"| ?[–-] ?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)))",
        _weekday,
        _WEEKDAYS,
    ),
    rule(
        r"(?<=day)(?P<it> ?[–-] ?)(?=(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun))",
        " to ",
        _WEEKDAYS,
    ),
    rule(
        r"(?<=day to )(?P<it>(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?)", _weekday, _WEEKDAYS
    ),
)
