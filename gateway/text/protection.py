"""Words that no rule may touch: they travel as private characters, each for one of theirs.

A lexicon's spelling is the last word on how something is said. Its characters are moved to the
private planes of Unicode, where no pattern looks for letters or digits, and moved back at the end.
"""

import re
from collections.abc import Iterable

from gateway.text.mapped import Edit, MappedText

_SHIFT = 0xF0000
"""From the first two planes, where all writing is, to the two private ones (15 and 16)."""
_PRIVATE = re.compile("[\U000f0000-\U0010ffff]+")


def protected(words: str) -> str:
    """Words as characters that stay as they are until `revealed`."""
    return "".join(chr(ord(char) + _SHIFT) if ord(char) < 0x1FFFE else " " for char in words)


def protected_spans(text: MappedText, spans: Iterable[tuple[int, int]]) -> MappedText:
    """The text with spans [start, end) of it protected; as long as before."""
    words = list(text.text)
    for start, end in spans:
        words[start:end] = protected("".join(words[start:end]))
    return MappedText("".join(words), text.firsts, text.ends)


def without_private(text: MappedText) -> MappedText:
    """A text from outside without the characters that are taken here."""
    return text.edited(
        Edit(match.start(), match.end(), "") for match in _PRIVATE.finditer(text.text)
    )


def revealed(text: MappedText) -> MappedText:
    """The text with the protected words as they are to be spoken; as long as before."""
    if _PRIVATE.search(text.text) is None:
        return text
    words = _PRIVATE.sub(
        lambda match: "".join(_shown(chr(ord(char) - _SHIFT)) for char in match[0]), text.text
    )
    return MappedText(words, text.firsts, text.ends)


def _shown(char: str) -> str:
    return char if char.isprintable() else " "
