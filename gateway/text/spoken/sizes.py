"""Sizes: 1920x1080, 30 x 20 x 10 cm, 30cm x 20cm, a 10' x 12' room, two 2x4s."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.numbers import AMOUNT, AT_NUMBER
from gateway.text.spoken.rule import Rule, any_of, is_adjective, rule
from gateway.text.spoken.unit_names import NAMES
from gateway.text.spoken.units import named

_FOOT, _INCH = ("foot", "feet"), ("inch", "inches")
_LENGTHS = {symbol: NAMES[symbol] for symbol in ("mm", "cm", "dm", "m", "km", "yd")}
_LENGTHS |= {"'": _FOOT, "ft": _FOOT, "feet": _FOOT, '"': _INCH, "in": _INCH, "inches": _INCH}
_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
_LENGTH = rf"{AMOUNT} ?{any_of(_LENGTHS)}(?:(?!\w)|(?=x\d))"
_MEASURE = re.compile(rf"(?P<amount>{AMOUNT}) ?(?P<unit>{any_of(_LENGTHS)})")
_IS_PRODUCT = re.compile(r"\d{0,9} ?=")
_BARE_NEEDS = re.compile(r"\d ?[x×] ?\d")
_LENGTH_NEEDS = re.compile(r"[\w'\".] ?[x×] ?\d")


def _number(written: str) -> str:
    if len(written) == 4 and written.isdecimal() and written[0] != "0":
        return numbers.pairs(written)
    return numbers.number(written)


def _sign(match: re.Match[str]) -> str:
    """2 x 3 = 6 is a product, as what has the sign of one."""
    product = "×" in match[0] or _IS_PRODUCT.match(match.string, match.end())
    return " times " if product else " by "


def _lengths(match: re.Match[str]) -> str:
    """Each with its unit: ten feet by twelve feet, a ten foot by twelve foot room."""
    adjective = is_adjective(match)
    said = []
    for measure in _MEASURE.finditer(match[0]):
        one, many = _LENGTHS[measure["unit"]]
        amount = measure["amount"]
        said.append(f"{numbers.amount(amount)} {one}" if adjective else named(amount, one, many))
    return " by ".join(said)


def _several(match: re.Match[str]) -> str:
    """30 x 20 x 10 cm; the last number is left to its unit."""
    sign = _sign(match)
    return sign.join(map(_number, re.findall(_NUMBER, match[0]))) + sign


def _two(match: re.Match[str]) -> str:
    """1920x1080 and 3 x 4 m; the second number is left to its unit."""
    first, second = match["first"], match["second"]
    if (first, second) == ("24", "7"):
        return "twenty four seven"
    said = _number(first) + _sign(match)
    if match["plural"]:
        return said + numbers.plural(numbers.whole(second))  # two by fours
    return said + (_number(second) if len(second) == 4 else second)


RULES: tuple[Rule, ...] = (
    # Behind a mark it may be the rest of a quotation, or of 5'6".
    rule(
        rf"{AT_NUMBER}(?<!['\"]){_LENGTH}(?:\.? ?[x×] ?{_LENGTH}){{1,3}}",
        _lengths,
        _LENGTH_NEEDS,
    ),
    rule(
        rf"(?<![\w.,])(?:{_NUMBER} ?[x×] ?){{2,3}}(?=\d)(?!\d{{1,9}} ?[x×] ?\d)",
        _several,
        _BARE_NEEDS,
    ),
    rule(
        rf"(?<![\w.,])(?P<first>{_NUMBER}) ?[x×] ?(?P<second>\d{{1,9}})(?!\d)"
        r"(?P<plural>(?<=\dx\d)s(?!\w))?",
        _two,
        _BARE_NEEDS,
    ),
)
"""Before the units."""
