"""Dashes that are a minus: 3x - 4 = 0, f(n-1), x² - 1; elsewhere they are a pause or a range."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import re

from gateway.text.spoken.rule import Rule, rule

_BESIDE_CHARS = 60
_BEFORE_CHARS = 32
_RAISED = re.compile(
    r"(?:(?<![^\W\d_])[a-ln-rt-z][²³]|(?<![\w.])(?:\d{0,3}[a-ln-rt-z]|2)\^\d{1,3}"
    r"|(?<!\w)\w{1,3}\^[a-z])\Z"
)
"""A variable or 2 to a power, which begins no range; meters and seconds may: 20 m² - 30 m²."""
_OPENED = re.compile(r"\((?:\d{0,3}[nxyz]|[a-z])\Z")
_CLOSED = re.compile(r"(?:\d{0,4}[a-z]|\d{1,4})\)")
_INDEXED = re.compile(
    r"[\w)\]](?P<bracket>[(\[])(?:[\w.²³^]{1,4}(?:, ?| ?[-+*/] ?)){0,4}\d{0,4}[a-zN][²³]?\Z"
)
"""What begins an argument or an index, behind a name or another bracket."""
_BRACKETED = re.compile(r"\([nxyz]-\d\)", re.ASCII)
_COMPUTED = re.compile(r"[=<>+] ?\d{0,4}[a-z][²³]?\Z")
_COMPARED = re.compile(r"(?:\d{1,4}|[a-z])\)? ?[=<>]")


def _spaced(match: re.Match[str]) -> str | None:
    """3x - 4 = 0; between words the dash is a pause."""
    text = match.string
    start, end = match.span("it")
    if "=" in text[max(0, start - _BESIDE_CHARS) : start] + text[end : end + _BESIDE_CHARS]:
        return " minus "
    first = max(0, start - _BEFORE_CHARS)
    if _RAISED.search(text, first, start):
        return " minus "
    in_brackets = _OPENED.search(text, first, start) and _CLOSED.match(text, end)
    return " minus " if in_brackets or _COMPARED.match(text, end) else None


def _tight(match: re.Match[str]) -> str | None:
    """f(n-1), x-1 = 0 and x²-1, but grades k-12, the i-5 and (see e-3)."""
    text = match.string
    start, end = match.span("it")
    first = max(0, start - _BEFORE_CHARS)
    if _RAISED.search(text, first, start) or _COMPUTED.search(text, first, start):
        return " minus "
    indexed = _INDEXED.search(text, first, start)
    # [a-z] is a range of letters.
    if indexed and (indexed["bracket"] == "(" or text[end].isdecimal()):
        return " minus "
    if _BRACKETED.match(text, max(0, start - 2)):
        return " minus "
    return " minus " if text[start - 1].islower() and _COMPARED.match(text, end) else None


SPACED: tuple[Rule, ...] = (
    rule(
        r"(?:(?<![^\W\d_])[a-z][²³]?|[\d)][²³]|\)|\^(?:\d{1,3}|[a-z]))(?P<it> [-–−] )"
        r"(?=[\d(]|[a-z](?![^\W\d_]))",
        _spaced,
        re.compile(" [-–−] "),
    ),
    # (1-n) may count from one to n.
    rule(r"(?<=\()\d{1,4}(?P<it> ?[-–−] ?)(?=\d{0,3}[xyz]\))", " minus ", re.compile(r"\(\d")),
    rule(r"(?<== )[-−](?=[a-z](?![^\W\d_]))", "minus ", re.compile("= [-−]")),
)
"""Before the numbers are read."""

TIGHT: tuple[Rule, ...] = (
    rule(
        r"(?:(?<![^\W\d_])(?!(?<=\d)e)[a-zN][²³]?|\^\d{1,3})(?P<it>[-–])"
        r"(?=\d{1,4}[a-z]{0,2}(?![\w^-])|[a-z](?![\w-]))",
        _tight,
        re.compile(r"[\w²³][-–][\w]"),
    ),
)
"""Without 1e-20; behind the addresses, in which such dashes are spelled, and before the ranges."""
