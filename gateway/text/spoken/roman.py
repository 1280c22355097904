"""Roman numerals, only where they are meant: Chapter IV, Henry VIII, World War II."""

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.rule import Rule, rule, word_set

_NUMBERED = word_set(
    """
    Chapter Part Book Act Scene Volume Section Article Appendix Phase Type Class Level Stage
    Title War Bowl Mark Figure Table Unit Lesson Episode Season Round Division Group Category
    Symphony Sonata Opus Tier Annex Schedule Grade Apollo Canto Psalm Exhibit Quarter Item
    Point Vatican
    """
)
_RULERS = word_set(
    """
    Henry Louis Elizabeth Charles George Edward James William Richard Pius Paul Benedict Philip
    Philippe Napoleon Catherine Peter Alexander Nicholas Frederick Wilhelm Leo Gregory Innocent
    Clement Urban Francis Joseph Ferdinand Leopold Albert Mary Anne Constantine Ramses Ramesses
    Ptolemy Darius Xerxes Gustav Christian Harald Haakon Olaf Sixtus Julius Boniface Umberto
    Victor Emmanuel Juan Carlos Felipe Alfonso Ivan Basil John Otto Rudolf Maximilian Margrethe
    Robert David Cyrus Thutmose Amenhotep Hassan Mohammed Abdullah Selim Mehmed Suleiman
    Baldwin Bela Sigismund Adrian Nicolas Manuel Pedro Afonso
    """
)
_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_WELL_FORMED = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_NO_NAMES = word_set("A An The This That My His Her Our Your And Or If In On At")
_SMALL = r"(?:X{0,2}(?:IX|IV|VI{1,3}|II{1,2})|X[IV]|XX[IV]?|XXX)"
"""What is hardly anything else: II to XXX, of two letters or more."""
_NEEDS = re.compile(r" [IVXLCDM]+\b")
_FIRST_FOLLOWED = re.compile(r"(?: of\b|'s\b| (?:was|ruled|reigned|died|became|had)\b|[.,;:)]|\Z)")


def value(numeral: str) -> int | None:
    """Of a well-formed numeral: IV is 4, IIX none."""
    if not numeral or _WELL_FORMED.fullmatch(numeral) is None:
        return None
    total = 0
    for char, following in zip(numeral, numeral[1:] + "I", strict=True):
        worth = _VALUES[char]
        total += -worth if worth < _VALUES[following] else worth
    return total


def _cardinal(match: re.Match[str]) -> str | None:
    number = value(match["it"])
    return None if number is None else numbers.cardinal(number)


def _ruler(match: re.Match[str]) -> str | None:
    numeral = match["it"]
    number = value(numeral)
    if number is None or number > 30:
        return None
    if number in (1, 10) and not _FIRST_FOLLOWED.match(match.string, match.end()):
        return None
    return f"the {numbers.ordinal(number)}"


def _after_name(match: re.Match[str]) -> bool:
    """Whether a capitalised word stands before: Rocky IV, but "an IV drip"."""
    before = match.string[max(0, match.start() - 32) : match.start()].split()
    return bool(before) and before[-1][0].isupper() and before[-1] not in _NO_NAMES


def _named(match: re.Match[str]) -> str | None:
    return _cardinal(match) if _after_name(match) else None


RULES: tuple[Rule, ...] = (
    # Of a heading: II. Methods.
    rule(rf"\A(?P<it>{_SMALL})(?=\. [A-Z])", _cardinal),
    rule(
        rf"\b(?i:{'|'.join(_NUMBERED)})s? (?P<it>[IVXLCDM]{{1,9}})(?!\w|'[a-z])", _cardinal, _NEEDS
    ),
    rule(rf"\b(?:{'|'.join(_RULERS)}) (?P<it>[IVX]{{1,6}})(?!\w|\.\w|'[^s])", _ruler, _NEEDS),
    rule(rf"(?<=[a-z] )(?P<it>{_SMALL})(?!\w)", _named, _NEEDS),
)
