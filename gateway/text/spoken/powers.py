"""Powers: 10²³, 6.02e23, x^2, mc²."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.numbers import AT_NUMBER, NUMBER
from gateway.text.spoken.rule import DIGIT, Rule, rule

_SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
_PLAIN = str.maketrans(_SUPERSCRIPT, "0123456789-+")
_RAISED = rf"[⁻⁺]?[{_SUPERSCRIPT[:10]}]{{1,9}}+"
_ANY_RAISED = re.compile(f"[{_SUPERSCRIPT}^]")
_ROUND = {"3": "thousand", "6": "million", "9": "billion", "12": "trillion"}


def raised(exponent: str) -> str:
    """What is said behind the base: squared, cubed, to the fourth, to the minus three."""
    exponent = exponent.translate(_PLAIN).lstrip("^+").strip("{}()")
    if exponent in ("2", "3"):
        return "squared" if exponent == "2" else "cubed"
    if exponent.startswith("-"):
        return f"to the minus {numbers.whole(exponent[1:])}"
    if exponent.isdecimal():
        return f"to the {numbers.ordinal(exponent)}"
    return f"to the power of {exponent}"


def _of_ten(match: re.Match[str]) -> str:
    """6.02 × 10²³, 6.02e23 and 1e6."""
    exponent = match["exponent"].translate(_PLAIN).lstrip("^+")
    short = "e" in match[0].lower()
    if short and exponent in _ROUND and "." not in match["number"]:
        return f"{numbers.number(match['number'])} {_ROUND[exponent]}"
    power = raised(exponent)
    if power in ("squared", "cubed"):
        power = f"to the {numbers.ordinal(exponent)}"
    return f"{numbers.number(match['number'])} times ten {power}"


def _power(match: re.Match[str]) -> str | None:
    """x², 2^10; the letters of mc² are said one by one."""
    base, exponent = match["base"], match["exponent"]
    if exponent == "¹" and base:
        return base
    if base.isdecimal():
        base = numbers.whole(base)
    elif len(base) == 2 and base.islower():
        base = " ".join(base)
    return f"{base} {raised(exponent)}"


OF_TEN: tuple[Rule, ...] = (
    rule(
        rf"{AT_NUMBER}(?P<number>{NUMBER}) ?[×x*·] ?10(?P<exponent>{_RAISED}|\^[-+]?\d{{1,9}}+)",
        _of_ten,
        _ANY_RAISED,
    ),
    rule(
        rf"{AT_NUMBER}(?P<number>{NUMBER})[eE](?P<exponent>[-+]?\d{{1,4}}+)(?!\w)", _of_ten, DIGIT
    ),
)
"""Before the units and names of digits and letters."""

RULES: tuple[Rule, ...] = (
    rule(
        rf"(?<!\w)(?P<base>\d{{1,9}}|[A-Za-zΑ-ω]{{1,24}}+|(?<=[)\]}}]))"
        rf"(?P<exponent>{_RAISED}|\^[-+]?\d{{1,9}}+|\^[a-zA-Z](?!\w))",
        _power,
        _ANY_RAISED,
    ),
)
"""Behind the units, whose own exponents are part of them."""
