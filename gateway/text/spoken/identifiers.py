"""Versions, and names made of letters and digits: 2.10.3, BA284, A4, B2B, H2O, COVID-19, mp3."""

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.rule import DIGIT, Rule, rule, word_set

_VERSIONED = (
    r"[Vv]ersions?|[Rr]elease|Python|Node(?:\.js)?|iOS|macOS|Android|Windows|Linux|Ubuntu|Java|PHP"
    r"|Ruby|TLS|HTTP|USB|Bluetooth|Chrome|Firefox|CUDA|GPT-?|Llama|PyTorch|Go"
)
_WORDS = word_set("mp covid iphone ipad windows formula apollo area catch channel")
_PIECE = re.compile(r"[^\W\d_]+|\d+")
_MIXED = re.compile(r"[^\W\d_]-?\d|\d-?[^\W\d_]")


def _version(match: re.Match[str]) -> str:
    return " point ".join(numbers.whole(part) for part in match["it"].split("."))


def _v(match: re.Match[str]) -> str:
    return "version " + " point ".join(numbers.whole(part) for part in match["number"].split("."))


def _identifier(match: re.Match[str]) -> str | None:
    """Capitals one by one, words as they are, digits as they are said of flights and roads."""
    written = match[0]
    pieces = _PIECE.findall(written)
    if len(pieces) > 5:
        return " ".join(
            numbers.ONES[int(char)] if "0" <= char <= "9" else char.upper()
            for char in written
            if char.isalnum()
        )
    words = []
    for piece in pieces:
        if "0" <= piece[0] <= "9":
            words.append(numbers.pairs(piece))
        elif len(piece) <= 3 and piece.isupper():
            words.append(" ".join(piece))
        elif len(piece) <= 3 and piece.islower() and not re.search("[aeiouy]", piece):
            words.append(" ".join(piece.upper()) if len(piece) > 1 else piece)
        else:
            words.append(piece)
    return " ".join(words)


def _hyphened(match: re.Match[str]) -> str:
    """COVID-19, GPT-4, F-16: the name is left to the acronyms."""
    number = match["number"]
    return f"{match['name']} {numbers.pairs(number) if len(number) < 4 else _long(number)}"


def _long(number: str) -> str:
    return numbers.pairs(number) if len(number) == 4 else numbers.whole(number)


def _standard(match: re.Match[str]) -> str:
    """RFC 2119 is twenty one nineteen, ISO 9001 nine thousand one."""
    return numbers.pairs(match["it"])


RULES: tuple[Rule, ...] = (
    rule(
        rf"\b(?:{_VERSIONED}) ?(?P<it>\d{{1,4}}(?:\.\d{{1,4}}){{1,6}})(?![\w])(?!\.\d)",
        _version,
        DIGIT,
    ),
    rule(r"(?<!\w)[vV]\.? ?(?P<number>\d{1,4}(?:\.\d{1,4}){0,6})(?!\w)(?!\.\d)", _v, DIGIT),
    rule(
        r"(?<![\w.,])(?P<it>\d{1,6}(?:\.\d{1,6}){2,9}+)(?![\w])(?!\.\d)",
        _version,
        re.compile(r"\d\.\d{1,6}\.\d"),
    ),
    rule(
        r"\b(?:ISO|RFC|IEEE|IEC|DIN|ANSI|RTX|GTX|Boeing|Airbus|NGC|BS|EN)(?:/[A-Z]{2,4})? "
        r"(?P<it>[1-9]\d{2,3})(?!\w|[.,]\d)",
        _standard,
        DIGIT,
    ),
    rule(
        r"(?<![\w-])(?P<name>[^\W\d_]{1,24}+)-(?P<number>\d{1,6})(?![\w-]|\.\d)", _hyphened, _MIXED
    ),
    rule(
        r"(?<![\w.,])(?!\d++(?:st|nd|rd|th|s)(?!\w))(?=[^\W_]{0,24}\d)(?=\d{0,24}[^\W\d_⁰-⁹²³¹])"
        r"[^\W_⁰-⁹²³¹]{2,64}+(?!\w)",
        _identifier,
        _MIXED,
    ),
)
