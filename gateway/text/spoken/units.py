"""Amounts with a unit: 10 mm, 5GB, 60 km/h, 20 m², a 6-ft pole, 5'10", 3 ft 6 in."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.numbers import AMOUNT, AT_NUMBER, NUMBER
from gateway.text.spoken.rule import DIGIT, Rule, any_of, is_adjective, rule, word_after
from gateway.text.spoken.unit_names import AMBIGUOUS, NAMES, PER, POWERS

_LENGTHS = any_of(["m", "mm", "cm", "dm", "km", "ft", "in", "yd", "mi"])
_VOWEL_SOUNDS = ("a", "e", "i", "o", "u", "hour")
_QUOTED_CHARS = 400
"""How far before a mark the one that it closes may be."""
_INCHES = re.compile(r"\d(?:-| )?in\b")
_IN_FORMULA = re.compile(r"(?:(?:(?<![^\W\d_])[A-Za-z]|[\d)]) ?= ?|[+^] ?|\bminus )\Z")
_FEET = re.compile(r"\d['\"]")


def _name(symbol: str) -> tuple[str, str]:
    """Of a unit; "in" is one only where its dot or its place says so, and not in the table."""
    return ("inch", "inches") if symbol == "in" else NAMES[symbol]


def named(amount: str, one: str, many: str) -> str:
    """The amount and the name in the number that it asks for: half a kilometer, two meters."""
    if numbers.is_part(amount):
        article = "an" if one.startswith(_VOWEL_SOUNDS) else "a"
        if amount == "1/2":
            return f"half {article} {one}"
        return f"{numbers.amount(amount)} of {article} {one}"
    return f"{numbers.amount(amount)} {one if numbers.is_one(amount) else many}"


def _names(match: re.Match[str]) -> tuple[str, str] | None:
    symbol, per = match["unit"], match["per"]
    if symbol is None:
        one, many = _name(match["length"])
        power = POWERS[match["power"]]
        one, many = f"{power} {one}", f"{power} {many}"
    else:
        is_month = symbol == "mo" and match.string.startswith(".", match.end("unit"))
        if symbol in AMBIGUOUS and not (per or is_month) and "." not in match["amount"]:
            return None
        one, many = _name(symbol)
    if per:
        power = POWERS[match["per_power"]] + " " if match["per_power"] else ""
        if power and per in ("s", "sec"):
            # m/s² is meters per second squared.
            rest = f" per second {'squared' if power == 'square ' else 'cubed'}"
        else:
            rest = f" per {power}{PER[per]}"
        return one + rest, many + rest
    return one, many


def _unit(match: re.Match[str]) -> str | None:
    names = _names(match)
    if names is None:
        return None
    one, many = names
    written = match["amount"]
    if match["hyphen"] or (is_adjective(match) and not numbers.is_part(written)):
        return f"{numbers.amount(written)} {one}"
    return named(written, one, many)


def _inches(match: re.Match[str]) -> str | None:
    """5 in. is inches; a bare "in" only where a size is spoken of."""
    after = word_after(match).lower()
    if after in ("screen", "monitor", "display", "tv", "pizza", "pipe"):
        return f"{numbers.amount(match['amount'])} inch"
    if after not in ("wide", "tall", "long", "deep", "high", "thick", "by", "x"):
        return None
    return named(match["amount"], "inch", "inches")


def _height(match: re.Match[str]) -> str:
    """5'10" is five foot ten."""
    return f"{numbers.cardinal(match['feet'])} foot {numbers.number(match['inches'])}"


def _quoted_inches(match: re.Match[str]) -> str | None:
    """12" is twelve inches unless the mark closes a quotation."""
    start = match.start()
    if match.string.count('"', max(0, start - _QUOTED_CHARS), start) % 2:
        return None
    if is_adjective(match):
        return f"{numbers.amount(match['amount'])} inch"
    return named(match["amount"], "inch", "inches")


def _angle(match: re.Match[str]) -> str:
    sides = {"N": "north", "S": "south", "E": "east", "W": "west"}
    words = f"{numbers.number(match['degrees'])} degrees"
    if match["minutes"]:
        words += f" {numbers.number(match['minutes'])} minutes"
    if match["seconds"]:
        words += f" {numbers.number(match['seconds'])} seconds"
    return f"{words} {sides[match['side']]}"


def _times(match: re.Match[str]) -> str | None:
    """10x faster; but y = 2x."""
    if _IN_FORMULA.search(match.string, max(0, match.start() - 10), match.start()):
        return None
    return f"{numbers.number(match['amount'])} times"


_UNIT = any_of(NAMES)

RULES: tuple[Rule, ...] = (
    rule(r"(?<![\w.,/])\d{2,3}(?P<it>/)\d{2,3} ?mm ?Hg(?!\w)", " over ", re.compile("Hg")),
    rule(
        r"(?<![\w.])(?P<degrees>\d{1,3}(?:\.\d{1,9})?)° ?(?:(?P<minutes>\d\d?)' ?)?"
        r"(?:(?P<seconds>\d\d?(?:\.\d{1,9})?)\" ?)?(?P<side>[NSEW])(?!\w)",
        _angle,
        re.compile("°"),
    ),
    rule(r"(?<![\w.])(?P<feet>\d)' ?(?P<inches>1?\d(?:\.\d)?)(?:\"|'')", _height, _FEET),
    rule(
        rf"{AT_NUMBER}(?P<amount>{NUMBER})'(?= (?:(?:x|by) \d|(?:long|wide|tall|high|deep)\b))",
        lambda match: named(match["amount"], "foot", "feet"),
        _FEET,
    ),
    rule(rf"{AT_NUMBER}(?P<amount>{NUMBER})\"(?!\w)", _quoted_inches, _FEET),
    rule(
        rf"{AT_NUMBER}(?P<amount>{AMOUNT})(?:(?P<hyphen>-)(?=[a-zA-Z])| ?)"
        rf"(?:(?P<length>{_LENGTHS})(?P<power>[²³]|\^?[23](?!\d))|(?P<unit>{_UNIT}|in(?=\.(?:\s|\Z|,))))"
        rf"(?: ?/ ?(?P<per>{any_of(PER)})(?P<per_power>[²³]|\^?[23])?)?(?![\w²³^])(?!/\D)"
        rf"(?P<dot>\.(?=\s++[a-z]|,))?",
        _unit,
        DIGIT,
    ),
    rule(rf"{AT_NUMBER}(?P<amount>{AMOUNT})[ -]in(?![\w.])", _inches, _INCHES),
    rule(rf"{AT_NUMBER}(?P<amount>{NUMBER})[xX×](?!\w)(?! ?(?:[\d+=*/^-]|minus\b))", _times, DIGIT),
)
