"""Square brackets of Markdown: links, images, footnotes, boxes; and pauses and voices."""

import re
from dataclasses import dataclass
from enum import Enum

from gateway.text.markup.pauses import DEFAULT_MS, milliseconds
from gateway.text.markup.voice_tags import bracketed_voice

MAX_BRACKET_CHARS = 256
"""A bracket that nothing closes within so many characters is a plain sign."""
MAX_ADDRESS_CHARS = 1024

_BRACKET = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*+\](?:\([^()\s]*+\))?+)*+)\]")
_ADDRESS = re.compile(r"\((?:[^()\n]|\([^()\n]*+\))*+\)")
_REFERENCE = re.compile(r"\[[^\[\]\n]*+\]")
_PAUSE = re.compile(r"(?:pause|break|silence)[ :=]\s*(\S.*)", re.IGNORECASE)
_DEFINED = re.compile(r":[ \t]*+(?:<|https?:|ftp:|mailto:|www\.|[./#])")
_UNDEFINED = re.compile(
    r":[ \t]*+(?:h|ht|htt|https?|f|ft|ftp|m|ma|mai|mail|mailt|mailto|w|ww|www)?\Z"
)


class Bracket(Enum):
    """What an opening bracket is."""

    PLAIN = 1
    WAIT = 2
    LINK = 3
    """Its words are read, what stands behind them is not."""
    MARK = 4
    """Not read: a footnote's mark, the box of a task."""
    PAUSE = 5
    VOICE = 7
    DEFINITION = 6
    """Not read to the end of its line: an address that links refer to."""


@dataclass(frozen=True, slots=True)
class Bracketed:
    """What stands in square brackets."""

    kind: Bracket
    close: int = 0
    """Where its closing bracket stands."""
    end: int = 0
    """Where all of it ends, the address included."""
    pause_ms: int = 0
    voice: str = ""
    """Its name; empty: the one before the tags."""


_PLAIN = Bracketed(Bracket.PLAIN)
_WAIT = Bracketed(Bracket.WAIT)


def read_bracket(text: str, at: int, line_start: bool, item_start: bool, final: bool) -> Bracketed:
    """What begins with the "[" at `at`, at the start of a line or of a list's item or not.

    The answer does not depend on how much of the text is there: it is WAIT while more may
    change it, which with `final` is never.
    """
    window = text[at : at + MAX_BRACKET_CHARS]
    match = _BRACKET.match(window)
    if match is None:
        unfinished = len(window) < MAX_BRACKET_CHARS and window.count("[") > window.count("]")
        return _WAIT if unfinished and not final else _PLAIN
    inner, close = match[1], at + match.end() - 1
    pause = _PAUSE.fullmatch(inner)
    ms = milliseconds(pause[1]) if pause else DEFAULT_MS if inner.lower() == "pause" else None
    if ms is not None:
        return Bracketed(Bracket.PAUSE, close, close + 1, ms)
    name = bracketed_voice(inner)
    if name is not None:
        return Bracketed(Bracket.VOICE, close, close + 1, voice=name)
    if item_start and inner in (" ", "x", "X"):
        return Bracketed(Bracket.MARK, close, close + 1)
    rest = text[close + 1 : close + 1 + MAX_ADDRESS_CHARS]
    if not rest and not final:
        return _WAIT
    if rest[:1] == ":" and line_start and not inner.startswith("^"):
        if _DEFINED.match(rest):
            return Bracketed(Bracket.DEFINITION, close, close + 1)
        if not final and len(rest) < MAX_BRACKET_CHARS and _UNDEFINED.match(rest):
            return _WAIT
    if inner.startswith("^") and len(inner) > 1:
        colon = line_start and rest[:1] == ":"
        return Bracketed(Bracket.MARK, close, close + 1 + colon)
    for opening, shape in (("(", _ADDRESS), ("[", _REFERENCE)):
        if rest[:1] == opening:
            address = shape.match(rest)
            if address:
                return Bracketed(Bracket.LINK, close, close + 1 + address.end())
            unfinished = len(rest) < MAX_ADDRESS_CHARS and "\n" not in rest
            return _WAIT if unfinished and not final else _PLAIN
    return _PLAIN
