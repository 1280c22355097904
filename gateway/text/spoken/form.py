"""The spoken form: a text as it is read aloud, rule after rule."""

from gateway.text.mapped import MappedText
from gateway.text.protection import revealed
from gateway.text.spoken import (
    abbreviations,
    acronyms,
    addresses,
    characters,
    dates,
    differences,
    fractions,
    identifiers,
    latex,
    money,
    numerals,
    phones,
    powers,
    products,
    roman,
    scaled,
    sizes,
    symbols,
    times,
    units,
)
from gateway.text.spoken.rule import Rule, applied

_RULES: tuple[Rule, ...] = (
    *latex.RULES,
    *numerals.GROUPING,
    *characters.RULES,
    *symbols.EARLY,
    *addresses.RULES,
    *dates.RULES,
    *numerals.DECADES,
    *phones.RULES,
    *times.RULES,
    *differences.TIGHT,
    *numerals.MINUS,
    *abbreviations.RULES,
    *roman.RULES,
    *products.RULES,
    *numerals.RANGES,
    *money.RULES,
    *powers.OF_TEN,
    *sizes.RULES,
    *units.RULES,
    *scaled.RULES,
    *identifiers.RULES,
    *powers.RULES,
    *fractions.RULES,
    *numerals.PLAIN,
    *symbols.UNDERSCORES,
    *acronyms.RULES,
    *symbols.LATE,
    *symbols.SPACES,
)


def spoken_form(text: MappedText, language: str = "en") -> MappedText:
    """The text in words: numbers, dates, money, units, addresses, abbreviations and signs.

    English only; a text in another language stays as it is but for white space. Sentence marks
    and the case of words that are read as written stay. What a lexicon has put in is not touched.
    """
    if language.replace("_", "-").partition("-")[0].lower() in ("en", ""):
        return revealed(applied(_RULES, text)).stripped()
    return revealed(applied(symbols.SPACES[1:2], text)).stripped()


def spoken_words(text: str) -> str:
    """The spoken form of an English text."""
    return spoken_form(MappedText.of(text)).text
