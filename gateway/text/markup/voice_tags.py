"""The voices that a text asks for: [voice: NAME], <voice name="NAME">, and those of its parts."""

import re
from dataclasses import dataclass, field

from gateway.text.markup.cleaned import VOICE, AskedVoice, Cleaned
from gateway.text.markup.output import MarkupOutput

MAX_DEPTH = 32
"""Voice elements within each other; deeper ones change nothing."""
MAX_NAME_CHARS = 64
_BRACKETED = re.compile(r"voice[ \t]*[:=][ \t]*([^\r\n]*[^\s])[ \t]*", re.IGNORECASE)
_BACK = re.compile(r"/voice", re.IGNORECASE)


def bracketed_voice(inner: str) -> str | None:
    """The name in "voice: NAME", empty for "/voice"; None where it is neither."""
    match = _BRACKETED.fullmatch(inner)
    if match is not None:
        return match[1]
    return "" if _BACK.fullmatch(inner) else None


@dataclass(slots=True)
class _Element:
    """A voice element that is open: whether it named a voice, and who spoke before it."""

    named: bool
    before: AskedVoice | None


@dataclass(slots=True)
class VoiceTags:
    """Who speaks at this point of the text; changes go into `output` as breaks."""

    output: MarkupOutput
    _part: AskedVoice | None = None
    """Whom the caller named for this part of the text; None: nobody."""
    _speaks: AskedVoice | None = None
    _open: list[_Element] = field(default_factory=list)
    _too_deep: int = 0

    def begin_part(self, name: str, position: int) -> None:
        """The caller has the text from `position` on spoken by that voice; empty: its own."""
        self._open.clear()
        self._too_deep = 0
        self._part = AskedVoice(name, position, position) if name else None
        self._change(self._part, position, position)

    def bracket(self, name: str, first: int, end: int) -> None:
        """A tag in brackets at [first, end); without a name it gives the part's voice back."""
        self._change(AskedVoice(name, first, end) if name else self._part, first, end)

    def begin(self, name: str, first: int, end: int) -> bool:
        """An element begins; False where it is too deep."""
        if len(self._open) >= MAX_DEPTH:
            self._too_deep += 1
            self._apart(first)
            return False
        self._open.append(_Element(bool(name), self._speaks))
        if name:
            self._change(AskedVoice(name, first, end), first, end)
        else:
            self._apart(first)
        return True

    def end(self, first: int, end: int) -> None:
        """An element ends, at a tag at [first, end); who spoke before it speaks on."""
        if self._too_deep:
            self._too_deep -= 1
        elif self._open and (element := self._open.pop()).named:
            self._change(element.before, first, end)
            return
        self._apart(end)

    def _apart(self, position: int) -> None:
        self.output.put_words(" ", position, position)

    def _change(self, speaks: AskedVoice | None, first: int, end: int) -> None:
        self._speaks = speaks
        cleaned: Cleaned = self.output.cleaned
        cleaned.voices.append(speaks)
        self.output.put_break(VOICE, first, end)
