"""Dates and times of the day."""

from __future__ import annotations

from training.text.rules import DAY, ORDINAL, ORDINAL_SUFFIX, Rule, Rules, any_of

MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_SHORT_MONTHS = {
    "jan": "january",
    "feb": "february",
    "mar": "march",
    "apr": "april",
    "jun": "june",
    "jul": "july",
    "aug": "august",
    "sept": "september",
    "sep": "september",
    "oct": "october",
    "nov": "november",
    "dec": "december",
}
_SHORT_DAYS = {
    "Mon": "monday",
    "Tues?": "tuesday",
    "Wed": "wednesday",
    "Thu(?:rs?)?": "thursday",
    "Fri": "friday",
    "Sat": "saturday",
    "Sun": "sunday",
}
_CASED_MONTHS = any_of([*(month.title() for month in MONTHS), *MONTHS[:2], MONTHS[3], *MONTHS[5:]])
"""May and march are months only with a capital."""


def _cased() -> list[Rule]:
    """What only capitals tell; months and days that are cut short."""
    rules = [
        Rule(rf"\b{short.title()}\.|\b{short.title()}(?= \d)", month.title())
        for short, month in _SHORT_MONTHS.items()
    ]
    rules += [
        Rule(rf"\b{short}\.(?=,| ?\d| (?:at|to|and|from|{_CASED_MONTHS}))", day)
        for short, day in _SHORT_DAYS.items()
    ]
    return [
        *rules,
        Rule(
            rf"\b{_CASED_MONTHS} (?:[12]?\d|3[01])(?![\d:,]|{ORDINAL_SUFFIX}|,\d{{3}})\K", ORDINAL
        ),
        Rule(rf"\b{_CASED_MONTHS} (?:[12]?\d|3[01])\K(?=,(?!\d))", ORDINAL),
        Rule(rf"(?<![\d.,:])(?:[12]?\d|3[01])\K(?= {_CASED_MONTHS}\b)", f"{ORDINAL} of"),
        Rule(rf"\d\K{ORDINAL_SUFFIX}(?= {_CASED_MONTHS}\b)", f"{ORDINAL} of"),
        # The dot of a.m. stays where the sentence ends.
        Rule(r"(?<=\d) ?[aA](?:[mM]|\.[mM](?:\.(?=\s*[a-z,;?!)]))?)(?![a-zA-Z])", " ay m"),
        Rule(r"(?<=\d) ?[pP](?:[mM]|\.[mM](?:\.(?=\s*[a-z,;?!)]))?)(?![a-zA-Z])", " p m"),
    ]


def _numeric_dates() -> list[Rule]:
    """2024-05-12 and 5/12/2024: the month by name, in the order written."""
    rules = []
    for number, month in enumerate(MONTHS, start=1):
        rules.append(Rule(rf"(?<=\d{{4}})-{number:02}-0?(?=\d{{1,2}}(?!\d))", f", {month}{DAY}"))
        rules.append(
            Rule(rf"(?<![\d/])0?{number}/0?(?=\d{{1,2}}/(?:\d{{4}}|\d\d)(?!\d))", f"{month}{DAY}")
        )
    return [
        *rules,
        Rule(rf"(?<={DAY}\d{{1,2}})/(?=\d)", ", "),
        Rule(rf"{DAY}\d{{1,2}}\K", ORDINAL),
        Rule(DAY, " "),
    ]


def _times() -> list[Rule]:
    return [
        Rule(r"(?<=\d):00(?= (?:ay|p) m| o'clock| noon| midnight)", ""),
        Rule(r"(?<=\d):00(?![\d:])", " o'clock"),
        Rule(r"(?<=\d):0(?=[1-9](?!\d))", " oh "),
        Rule(r"(?<=\d):(?=\d\d(?!\d))", " "),
        Rule(r"(?<=\d):(?=\d)", " to "),
    ]


CASED_RULES: Rules = tuple(_cased())
"""To run before lower case."""

RULES: Rules = (*_numeric_dates(), *_times())
