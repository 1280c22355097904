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
        elif piece == "s" and words and len(pieces) > 1 and piece is pieces[-1]:
            words[-1] = numbers.plural(words[-1])  # MP3s
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
    words = numbers.pairs(number) if len(number) < 4 else _long(number)
    return f"{match['name']} {numbers.plural(words) if match['plural'] else words}"


def _long(number: str) -> str:
    return numbers.pairs(number) if len(number) == 4 else numbers.whole(number)


def _ers(match: re.Match[str]) -> str:
    """The 49ers are the forty niners."""
    words = numbers.cardinal(match[1])
    return words + ("rs" if words.endswith("e") else "ers")


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
    rule(r"(?<![\w.,])(\d{1,3})ers(?!\w)", _ers, DIGIT),
    rule(
        r"(?<![\w.,])(\d{3})\(([a-z])\)",
        lambda match: f"{numbers.pairs(match[1])} {match[2]}",  # 401(k)
        re.compile(r"\d\([a-z]\)"),
    ),
    rule(r"(?<![\w.])[A-Z]{1,4}(?P<it>\.)(?=\d{1,4}(?!\w))", " point ", DIGIT),
    rule(
        r"(?<![\w-])(?P<name>[^\W\d_]{1,24}+)-(?P<number>\d{1,6})(?P<plural>s)?(?![\w-]|\.\d)",
        _hyphened,
        _MIXED,
    ),
    rule(
        r"(?<![\w.,])(?!\d++(?:st|nd|rd|th|s)(?!\w))(?=[^\W_]{0,24}\d)(?=\d{0,24}[^\W\d_⁰-⁹²³¹])"
        r"[^\W_⁰-⁹²³¹]{2,64}+(?!\w)",
        _identifier,
        _MIXED,
    ),
)
