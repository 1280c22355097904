"""What is asked of the front end, and what it has to say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

MAX_PAUSE_MS = 10_000


class Markup(Enum):
    """What becomes of SSML, HTML and Markdown; the names are those of `csm.v1.TextMarkup`."""

    STRIP = "strip"
    OBEY = "obey"
    OFF = "off"


@dataclass(frozen=True)
class TextRules:
    """What is done to a text before it is spoken; see `csm.v1.TextOptions`."""

    normalize: bool = True
    language: str = "en"
    markup: Markup = Markup.OBEY
    lexicon: Mapping[str, str] = field(default_factory=dict)
    """Words as written to their spelling as they are said."""
    newline_pause_ms: int = 0
    paragraph_pause_ms: int = 0


@dataclass(frozen=True, slots=True)
class TextWarning:
    """Something of the text that is not spoken, or not as written: characters
    [first_char, end_char) of the caller's text."""

    kind: str
    """The name of a `csm.v1.WarningKind`, without its prefix."""
    first_char: int
    end_char: int
    description: str
    """For people, without the caller's words."""
