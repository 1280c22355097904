"""Numbers in words: cardinals, ordinals, years, decimals, decades, telephone numbers, digits."""

from __future__ import annotations

from training.text.rules import (
    BILLION,
    GROUPS,
    HUNDRED,
    MILLION,
    ORDINAL,
    ORDINAL_SUFFIX,
    PHONE,
    SPREAD,
    TENS,
    THOUSAND,
    TRILLION,
    YEAR,
    Rule,
    Rules,
)

ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
TENS_WORDS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

_MAX_DIGITS = 9
"""A longer run without commas is read digit by digit."""


def _groups() -> list[Rule]:
    """Commas between groups of three become the names of the groups."""
    three = r"\d{3}"
    return [
        Rule(rf"(?<=\d),(?={three},{three},{three},{three}(?!\d))", TRILLION),
        Rule(rf"(?<=\d),(?={three},{three},{three}(?!\d))", BILLION),
        Rule(rf"(?<=\d),(?={three},{three}(?!\d))", MILLION),
        Rule(rf"(?<=\d),(?={three}(?!\d))", THOUSAND),
    ]


def _digit_by_digit() -> list[Rule]:
    """Telephone numbers, decimals, numbers with a leading zero and very long ones."""
    return [
        # 555-123-4567 and 555-1234: digits, a pause between the parts.
        Rule(r"(?<=call |dial )911(?!\d)", "9 1 1"),
        Rule(r"(?<![\d-])\d{3}\K[-.](?=\d{4}(?![\d-]))", PHONE),
        Rule(r"(?<=[-. ]\d{3})[-.](?=\d{4}(?!\d))", PHONE),
        Rule(rf"(?<=\d{{3}})[-. ](?=\d{{3}}{PHONE})", PHONE),
        Rule(rf"(?<=\d)(?=\d{{1,2}}{PHONE})|(?<={PHONE}\d{{1,3}})(?=\d)", " "),
        Rule(PHONE, ", "),
        Rule(r"(?<=\d)\.(?=\d)", " point "),
        Rule(r"(?<![\d,.])\.(?=\d)", " point "),
        Rule(r"(?<= point \d{1,15})(?=\d)", " "),
        Rule(rf"(?<=\A0\d{{0,15}}|[^\d{YEAR}{GROUPS}]0\d{{0,15}})(?=\d)", " "),
        Rule(rf"(?<=\d{{{_MAX_DIGITS}}})(?=\d)", SPREAD),
        Rule(rf"(?<=\d)(?=\d{{1,{_MAX_DIGITS}}}{SPREAD})", " "),
        Rule(SPREAD, " "),
    ]


def _years() -> list[Rule]:
    """Four digits from 1100 to 1999 and 2010 to 2099 are read in two halves."""
    alone = r"(?![\d%]|[.,]\d| (?:dollar|euro|pound|yen|percent|point))"
    return [
        Rule(
            rf"(?<![\d$£€¥.,{GROUPS}])(?:1[1-9]\K(?=\d\d{alone})|20\K(?=[1-9]\d{alone}))",
            YEAR,
        ),
        Rule(f"{YEAR}00", " hundred"),
        Rule(f"{YEAR}0", " oh "),
        Rule(YEAR, " "),
    ]


def _cardinals() -> list[Rule]:
    """Runs of at most nine digits, place by place."""
    rules = [
        Rule(r"(?<=\d)(?=\d{6}(?!\d))", MILLION),
        Rule(r"(?<=\d)(?=\d{3}(?!\d))", THOUSAND),
        Rule(f"{TRILLION}000{BILLION}", TRILLION),
        Rule(f"{TRILLION}000{MILLION}", TRILLION),
        Rule(f"{BILLION}000{MILLION}", BILLION),
        Rule(f"{TRILLION}000{THOUSAND}", TRILLION),
        Rule(f"{BILLION}000{THOUSAND}", BILLION),
        Rule(f"{MILLION}000{THOUSAND}", MILLION),
        Rule(f"(?<=[{GROUPS}])0{{1,3}}", ""),
    ]
    rules += [
        Rule(rf"{digit}(?=\d\d(?!\d))", f"{ONES[digit]} hundred{HUNDRED}") for digit in range(1, 10)
    ]
    rules += [
        Rule(f"{HUNDRED}00?", HUNDRED),
        Rule(rf"{HUNDRED}(?=\d)", " "),
        Rule(HUNDRED, ""),
    ]
    rules += [Rule(rf"1{digit}(?!\d)", TEENS[digit]) for digit in range(10)]
    rules += [Rule(rf"{digit}(?=\d(?!\d))", TENS_WORDS[digit - 2] + TENS) for digit in range(2, 10)]
    rules += [
        Rule(f"{TENS}0", TENS),
        Rule(f"y{TENS}{ORDINAL}", "ieth"),
        Rule(f"y{TENS}'?s(?![a-z])", "ies"),
        Rule(rf"{TENS}(?=\d)", " "),
        Rule(TENS, ""),
    ]
    rules += [Rule(str(digit), ONES[digit]) for digit in range(10)]
    for name, word in _GROUP_WORDS:
        rules += [
            Rule(f"{name}(?=s(?![a-z]))", f" {word}"),
            Rule(f"{name} ?(?=[a-z0-9])", f" {word} "),
            Rule(name, f" {word}"),
        ]
    return rules


_GROUP_WORDS = (
    (TRILLION, "trillion"),
    (BILLION, "billion"),
    (MILLION, "million"),
    (THOUSAND, "thousand"),
)


def _ordinals() -> list[Rule]:
    """The irregular ones, then th."""
    return [
        Rule(f"one{ORDINAL}", "first"),
        Rule(f"two{ORDINAL}", "second"),
        Rule(f"three{ORDINAL}", "third"),
        Rule(f"five{ORDINAL}", "fifth"),
        Rule(f"eight{ORDINAL}", "eighth"),
        Rule(f"nine{ORDINAL}", "ninth"),
        Rule(f"twelve{ORDINAL}", "twelfth"),
        Rule(ORDINAL, "th"),
    ]


MARK_RULES: Rules = (
    *_groups(),
    Rule(rf"(?<=\d) ?{ORDINAL_SUFFIX}(?![a-z])", ORDINAL),
)
"""To run first: they look at how a number is written."""

WORD_RULES: Rules = (
    *_digit_by_digit(),
    Rule(r"(?<=\d)-(?=\d)", " to "),
    *_years(),
    Rule(r"(?<=[a-z])-?(?=\d)", " "),
    Rule(r"(?<=\d)(?=[a-z])(?!s(?![a-z]))", " "),
    *_cardinals(),
    *_ordinals(),
)
"""To run last: after them no digit is left. Dates, times, money and units have run before."""
