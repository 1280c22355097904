"""Numbers that are dialled or copied: telephones, cards, accounts, postal codes."""

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.rule import DIGIT, Rule, rule

_KEYWORD = (
    r"(?i:\b(?:call|dial|dialed|phone|tel|telephone|mobile|cell|fax|text|number|whatsapp|ring|sms)"
    r"(?: (?:me|us|is|at|on|number|now|them|him|her|to)){0,2}[:.]? )"
)
_LONG = re.compile(r"\d[\d().\- ]{5}")
_HYPHENED = re.compile(r"\d-\d")
_EXTENSION = r"(?:,? ?(?:ext\.?|extension|x) ?(?P<extension>\d{1,6}))?"


def _group(group: str) -> str:
    """800 is eight hundred, everything else digit by digit."""
    if len(group) == 3 and group.endswith("00") and group[0] != "0":
        return numbers.cardinal(group)
    return numbers.digits(group)


def _phone(match: re.Match[str]) -> str:
    written = match["phone"]
    groups = re.findall(r"\d+", written)
    toll_free = len(groups) > 2 and groups[-3] in ("800", "900")
    said = [_group(group) if toll_free else numbers.digits(group) for group in groups]
    words = ("plus " if written.startswith("+") else "") + ", ".join(said)
    extension = match.groupdict().get("extension")
    return f"{words}, extension {numbers.digits(extension)}" if extension else words


def _vanity(match: re.Match[str]) -> str:
    """1-800-FLOWERS."""
    lead = numbers.digits(match["lead"]) + " " if match["lead"] else ""
    return f"{lead}{_group(match['area'])} {match['name'].replace('-', ' ')}"


def _grouped(match: re.Match[str]) -> str:
    """Digits one by one, with a pause between the groups."""
    return ", ".join(numbers.digits(group) for group in re.findall(r"\d+", match["it"]))


def _keyed(match: re.Match[str]) -> str | None:
    written = match["phone"]
    size = sum(map(str.isdecimal, written))
    short = written in ("911", "999", "112", "411", "311", "988", "101", "111")
    return _phone(match) if size >= 7 or short else None


def _account(match: re.Match[str]) -> str:
    """Letters and digits of an account, group by group."""
    groups = match[0].split()
    return ", ".join(
        " ".join(numbers.ONES[int(char)] if char.isdecimal() else char for char in group)
        for group in groups
    )


RULES: tuple[Rule, ...] = (
    rule(
        r"(?<![\w.-])(?:(?P<lead>\d)[- .])?\(?(?P<area>[2-9]\d\d)\)?[- .]"
        r"(?P<name>[A-Z]{2,9}(?:-[A-Z]{1,9})?)(?![\w-])(?<=[A-Z]{4})",
        _vanity,
        re.compile(r"\d[- .)][A-Z][A-Z]"),
    ),
    rule(r"(?<!\w)[A-Z]{2}\d\d(?: [A-Z\d]{4}){3,7}(?: [A-Z\d]{1,3})?(?!\w)", _account, _LONG),
    rule(
        r"(?<![\w.-])(?P<it>\d{4}(?P<mark>[ -])\d{4}(?P=mark)\d{4}(?P=mark)\d{4}(?:(?P=mark)\d{3})?"
        r"|\d{4}[ -]\d{6}[ -]\d{5})(?![\w-])",
        _grouped,
        _LONG,
    ),
    # With the country's number.
    rule(
        rf"(?<![\w.])(?P<phone>\+\d{{1,3}}(?:[ .-]?\(?\d{{1,4}}\)?){{2,6}})(?![\w-]){_EXTENSION}",
        _phone,
        re.compile(r"\+\d"),
    ),
    # North America's, whole and local.
    rule(
        r"(?<![\w.-])(?P<phone>(?:1[-. ])?(?:\(\d{3}\)[-. ]?|\d{3}[-. ])\d{3}[-. ]\d{4})"
        rf"(?![\w-])(?!\.\d){_EXTENSION}",
        _phone,
        _LONG,
    ),
    rule(rf"(?<![\w.-])(?P<phone>\d{{3}}-\d{{4}})(?![\w-])(?!\.\d){_EXTENSION}", _phone, _LONG),
    # With a trunk prefix, as in Britain: 020 7946 0958.
    rule(
        r"(?<![\w.-])(?P<phone>\(?0\d{1,4}\)?(?: \d{2,6}){1,4})(?![\w-])(?!\.\d)",
        _phone,
        re.compile(r"0\d{1,4}\)? \d"),
    ),
    rule(
        rf"{_KEYWORD}(?P<it>(?P<phone>\(?\d{{1,15}}\)?(?:[ .-]\d{{1,8}}){{0,6}}))(?![\w-])",
        _keyed,
        DIGIT,
    ),
    # Social security, ISBN, serial numbers: three groups or more with hyphens.
    rule(r"(?<![\w.-])(?P<it>\d{1,9}(?:-\d{1,9}){2,9}+)(?![\w-])", _grouped, _HYPHENED),
    rule(
        r"(?i:\b(?:zip(?: code)?|postal code|post code|area code|pass ?code|pin(?: code)?|code"
        r"|account(?: number)?|ssn|serial(?: number)?|confirmation(?: number)?|ticket(?: number)?"
        r"|order(?: number)?|case(?: number)?|isbn|otp)(?: is| no\.?| number)?:? #?)"
        r"(?P<it>\d{3,30})(?![\w.,/:%-](?<=\d)|\w|[.,:]\d)",
        lambda match: numbers.digits(match["it"]),
        DIGIT,
    ),
    rule(
        r"\b(?i:room|suite|apartment|apt\.?|flight|route|highway|hwy\.?|interstate|bus|gate|channel"
        r"|building|unit|boeing|xbox|airbus|area)(?: number| [A-Z]{2})? "
        r"(?P<it>([1-9]\d{2,3})(s)?)(?!\w|[.,:/-]\d)",
        lambda match: (
            numbers.plural(numbers.pairs(match[2])) if match[3] else numbers.pairs(match[2])
        ),
        DIGIT,
    ),
    rule(
        r"\b(?:[A-Z][a-z]++,? )(?:[A-Z]{2} )(?P<it>\d{5}(?:-\d{4})?)(?![\w-])",
        _grouped,
        DIGIT,
    ),
)
