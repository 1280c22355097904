"""Tags of HTML and SSML: where one stands in a text, and which do what."""

import html
import re
from dataclasses import dataclass
from enum import Enum

from csm.markup_tags import (
    BARE,
    DROPPED,
    LINES,
    MAX_ATTRIBUTES_CHARS,
    MAX_TAG_CHARS,
    PARAGRAPHS,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NAME = r"[A-Za-z][A-Za-z0-9:_-]{0,63}+"
_VALUE = r"(?:\"[^\"<]*+\"|'[^'<]*+'|[^\s\"'=<>`]++)"
_ATTRIBUTE = rf"[A-Za-z_:@][A-Za-z0-9:_-]*+(?:\s*+=\s*+{_VALUE})?+"
_TAG = re.compile(rf"<(/?)({_NAME})((?:\s++{_ATTRIBUTE})*+)\s*+(/?)>")
_UNFINISHED = re.compile(
    rf"<(?:/?(?:{_NAME}(?:\s++{_ATTRIBUTE})*+"
    r"(?:\s*+/|\s++(?:[A-Za-z_:@][A-Za-z0-9:_-]*+\s*+=\s*+(?:\"[^\"<]*+|'[^'<]*+)?)?"
    r"|\s*+=\s*+(?:\"[^\"<]*+|'[^'<]*+)?)?+)?)\Z"
)
_ONE_ATTRIBUTE = re.compile(rf"\s++([A-Za-z_:@][A-Za-z0-9:_-]*+)(?:\s*+=\s*+({_VALUE}))?+")
_LINK = re.compile(
    r"<(?:(?:[A-Za-z][A-Za-z0-9+.-]*://|mailto:|tel:|www\.)[^\s<>]*|[^\s<>@]+@[^\s<>@]+)>"
)
_NO_WORDS = re.compile(r"<[^\s<>]*\Z")
_DECLARATION = re.compile(r"<[!?][^<>]*>")
CELLS = frozenset(("td", "th"))
_INLINE = _words(
    "a abbr acronym audio b bdi bdo big break button canvas cite code data del dfn em embed "
    "emphasis font i iframe img input ins kbd label lang lexicon link map mark math meta meter "
    "noscript object output param phoneme picture progress prosody q rp rt ruby s samp say-as "
    "select small source span strike strong sub sup time textarea token tt u var video voice w "
    "wbr track area col colgroup base"
)
_TYPES = _words(
    "any auto bool boolean byte char double float int integer long number object short str string "
    "unsigned void"
)
KNOWN = PARAGRAPHS | LINES | CELLS | DROPPED | _INLINE


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, from its opening to its closing sign."""

    name: str
    """In lower case."""
    attributes: dict[str, str]
    closing: bool
    empty: bool
    """Whether it closes itself."""
    end: int
    """Where it ends."""


def _is_type(name: str) -> bool:
    """Whether a name is rather a type than a tag: List<String>, vector<int>, x<y>."""
    if name.lower() in KNOWN:
        return False
    return len(name) == 1 or "::" in name or not name.islower() or name in _TYPES


class Angle(Enum):
    """What an opening angle sign is that begins no tag."""

    PLAIN = 1
    """A sign of the text."""
    WAIT = 2
    """What follows decides."""
    COMMENT = 3
    CDATA = 4


@dataclass(frozen=True, slots=True)
class Angled:
    """Words in angle signs that are to be read without them: an address, <your name>."""

    end: int
    """Where the closing sign stands."""


def read_tag(text: str, at: int, behind_word: bool, final: bool) -> Tag | Angled | Angle:
    """What begins with the "<" at `at`. `behind_word`: a letter or a digit stands before it.

    The answer does not depend on how much of the text is there: it is WAIT while more may
    change it, which with `final` is never.
    """
    window = text[at : at + MAX_ATTRIBUTES_CHARS]
    following = window[1:2]
    if following == "!":
        for opening, kind in (("<!--", Angle.COMMENT), ("<![CDATA[", Angle.CDATA)):
            if window.startswith(opening):
                return kind
            if opening.startswith(window):
                return Angle.PLAIN if final else Angle.WAIT
    if following and following in "!?":
        declaration = _DECLARATION.match(window[:MAX_TAG_CHARS])
        if declaration:
            return Tag("!", {}, False, True, at + declaration.end())
        open_ended = "<" not in window[1:] and ">" not in window
        return _wait(open_ended and len(window) < MAX_TAG_CHARS, final)
    if not following:
        return _wait(True, final)
    if not (following.isalpha() or following in "/"):
        return Angle.PLAIN
    limit = MAX_ATTRIBUTES_CHARS if "=" in window[:MAX_TAG_CHARS] else MAX_TAG_CHARS
    link = _LINK.match(window)
    if link and link.end() <= limit:
        return Angled(at + link.end() - 1)
    tag = _TAG.match(window)
    if tag and tag.end() <= limit:
        return _as_tag(tag, at, behind_word)
    unfinished = _NO_WORDS.match(window) or _UNFINISHED.match(window)
    return _wait(bool(unfinished) and len(window) < limit, final)


def _wait(undecided: bool, final: bool) -> Angle:
    return Angle.WAIT if undecided and not final else Angle.PLAIN


def _as_tag(match: re.Match[str], at: int, behind_word: bool) -> Tag | Angled | Angle:
    name, attributes = match[2].lower(), {}
    closing = bool(match[1])
    words = False
    for one in _ONE_ATTRIBUTE.finditer(match[3]):
        key, value = one[1].lower(), one[2]
        if value is None:
            words = words or key not in BARE
        attributes[key] = html.unescape((value or "").strip("\"'"))
    if words:  # a < b and c > d without its spaces, or <your name here>
        return Angle.PLAIN if behind_word or closing else Angled(at + match.end() - 1)
    if behind_word and not closing and not attributes and _is_type(match[2]):
        return Angle.PLAIN
    return Tag(name, attributes, closing, bool(match[4]), at + match.end())
