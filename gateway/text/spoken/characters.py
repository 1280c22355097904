"""Characters that stand for plainer ones: quotes, spaces, fractions, digits of other scripts."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import re
import unicodedata

from gateway.text.spoken.rule import Rule, rule

_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"
_SPACES += "\u205f\u3000\u200b\u2028\u2029\u0085"
_DROPPED = "\u00ad\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
_DROPPED += "\u20e3\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufe0e\ufe0f™®"

_PLAIN = {
    **dict.fromkeys(_SPACES, " "),
    **dict.fromkeys(_DROPPED, ""),
    **dict.fromkeys("‘’‚‛ʼ´′＇", "'"),
    **dict.fromkeys("“”„‟″«»＂", '"'),
    **dict.fromkeys("‐‑‒−﹣－", "-"),
    "…": "...",
    "‥": "..",
    "⁄": "/",
    "∕": "/",
    "№": "No. ",
    "℃": "°C",
    "℉": "°F",
    "\u00b5": "\u03bc",
    "º": "°",
    "Å": "Å",
    "㎞": "km",
    "㎏": "kg",
    "㎡": "m²",
}
_FRACTIONS = {
    "½": "1/2",
    "⅓": "1/3",
    "⅔": "2/3",
    "¼": "1/4",
    "¾": "3/4",
    "⅕": "1/5",
    "⅖": "2/5",
    "⅗": "3/5",
    "⅘": "4/5",
    "⅙": "1/6",
    "⅚": "5/6",
    "⅐": "1/7",
    "⅛": "1/8",
    "⅜": "3/8",
    "⅝": "5/8",
    "⅞": "7/8",
    "⅑": "1/9",
    "⅒": "1/10",
}
_SUBSCRIPTS = {chr(0x2080 + digit): str(digit) for digit in range(10)}


def _plain(match: re.Match[str]) -> str | None:
    char = match[0]
    plain = _PLAIN.get(char)
    if plain is None:
        plain = _SUBSCRIPTS.get(char)
    if plain is not None:
        return plain
    if "\uff01" <= char <= "\uff5e":
        return chr(ord(char) - 0xFEE0)
    if "\ufb00" <= char <= "\ufb06":
        return unicodedata.normalize("NFKC", char)  # ﬁ
    if "\u2160" <= char <= "\u217f" or "\u2460" <= char <= "\u2473":
        return f" {unicodedata.normalize('NFKC', char)} "  # Ⅳ and ④
    digit = unicodedata.decimal(char, None)
    return None if digit is None else str(digit)


def _fraction(match: re.Match[str]) -> str:
    """1½ is 1 1/2."""
    written = _FRACTIONS[match[2]]
    return f"{match[1]} {written}" if match[1] else written


_NON_ASCII = re.compile(r"[^\x00-\x7f]")

RULES: tuple[Rule, ...] = (
    rule(r"(?<!\d)(?:(\d{1,9}) ?)?([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒])", _fraction, re.compile("[½⅓⅔¼¾⅐-⅞]")),
    rule(r"[^\x00-\x7f]", _plain, _NON_ASCII)._replace(apart=False),
    rule(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", " "),
)
"""First of all. Dashes, superscripts and signs stay: their own rules look at them."""
