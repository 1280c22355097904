"""Single characters: which of them are spoken, which only part words, which are taken out."""

import re
import unicodedata
from functools import lru_cache

# Pictures of which no name is spoken. Letterlike signs (™, №), arrows and mathematics stay: the
# spoken form has words for them.
_PICTURES = re.compile(
    "[\u2300-\u230b\u2312-\u23ff\u2400-\u2426\u2440-\u244a\u2500-\u27bf\u2934\u2935"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff\U0001fb00-\U0001fbff\ufffc\ufffd]"
)
_JOINERS = "\u200c\u200d"


def speakable(text: str) -> bool:
    """Whether there is a letter or a digit, of any script, to speak."""
    if text.isascii():
        return any(map(str.isalnum, text))
    return any(unicodedata.category(c)[0] in "LN" for c in text)


@lru_cache(maxsize=4096)
def shown(char: str, before: str) -> str:
    """What becomes of a character that stands behind `before`: itself, a space, or nothing.

    Line breaks and tabs are spaces here; who reads lines looks for them first.
    """
    if char.isspace() or char == "\u200b":
        return " "
    category = unicodedata.category(char)
    if category == "Cc":
        return " "
    if category == "Cf":
        # Joiners are letters' own in Persian and in the scripts of India, a picture's elsewhere.
        if char in _JOINERS and "\u0590" <= before < "\u2000" and _is_letter(before):
            return char
        return ""
    if category in ("Co", "Cs", "Cn"):
        return ""
    if "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef" or char == "\u20e3":
        return ""
    if _PICTURES.match(char):
        return " "
    return char


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] in "LM"


def is_wide(char: str) -> bool:
    """Whether the character is of a script that puts no spaces between its words."""
    return (
        "\u2e80" <= char <= "\ud7ff" and not "\uac00" <= char <= "\ud7a3"
    ) or "\uf900" <= char <= "\uffdc"
