"""What the tags of HTML and SSML do, and the pauses of a turn."""

from __future__ import annotations

from typing import Protocol

from gateway.text.markup.characters import shown
from gateway.text.markup.cleaned import LINE_END, PARAGRAPH, PAUSE, Cleaned, Pause
from gateway.text.markup.pauses import break_ms
from gateway.text.markup.tags import CELLS, DROPPED, LINES, PARAGRAPHS, Tag
from gateway.text.options import Markup, TextWarning

MAX_TURN_PAUSE_MS = 60_000
"""Silence that a turn may ask for in all."""
MAX_WARNINGS = 64
_SPELLED_AS = frozenset(
    ("characters", "character", "spell-out", "spell", "letters", "digits", "verbatim")
)
_NAMES = {
    ".": "dot",
    "-": "dash",
    "_": "underscore",
    "/": "slash",
    "@": "at",
    "+": "plus",
    "#": "hash",
    "&": "and",
    "*": "star",
    ":": "colon",
}
_VOID = frozenset(
    ("br", "hr", "img", "input", "meta", "link", "wbr", "break", "mark", "area", "col", "source")
)


class _Breaks(Protocol):
    def put_break(self, mark: str, first: int, end: int) -> None:
        """A break of the text, which stands for [first, end)."""


class Elements:
    """The elements that are open, and what they ask for."""

    def __init__(self, markup: Markup, cleaned: Cleaned) -> None:
        self._obeys = markup is Markup.OBEY
        self._cleaned = cleaned
        self.warnings: list[TextWarning] = []
        self.dropping = ""
        """The element whose content is left out."""
        self.spelled = False
        """Whether what is given now is spelled letter by letter."""
        self._spelled_before = False
        self._dropped_at = 0
        self._ssml = False
        self._pauses_ms = 0
        self._row_cells = 0

    def warn(self, first: int, end: int, description: str, kind: str = "UNSPEAKABLE") -> None:
        """Something of [first, end) is not spoken."""
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(TextWarning(kind, first, end, description))

    def finish(self, position: int) -> None:
        """The text has ended."""
        if self.dropping:
            self.end_drop(position)

    def end_drop(self, position: int) -> None:
        """The element that is left out has ended."""
        if self.dropping in ("script", "style", "svg"):
            self.warn(self._dropped_at, position, "content that is not for reading is left out")
        self.dropping = ""

    def meet(self, tag: Tag, first: int, end: int, reader: _Breaks) -> None:
        """Does what the tag at [first, end) asks for."""
        name = tag.name.removeprefix("ssml:")
        opens = not (tag.closing or tag.empty or name in _VOID)
        # What stands before an opening tag ends there; behind a closing one, the next begins.
        at = end if tag.closing else first
        if name in PARAGRAPHS:
            reader.put_break(PARAGRAPH, at, at)
        elif name in LINES or (name == "s" and self._ssml):
            self._ssml = self._ssml or name == "speak"
            self._row_cells = 0
            reader.put_break(LINE_END, at, at)
        elif name in CELLS:
            if opens:
                if self._row_cells:
                    self._cleaned.put(", ", first, first)
                self._row_cells += 1
        elif name in DROPPED:
            if opens:
                self.dropping, self._dropped_at = name, first
        elif name == "break":
            if self._obeys and not tag.closing:
                self.pause(break_ms(tag.attributes), first, end)
            else:
                reader.put_break(" ", first, end)
        elif name == "sub":
            self._substitute(tag, opens, first, end)
        elif name == "say-as":
            kind = tag.attributes.get("interpret-as", "").lower()
            self.spelled = self._obeys and opens and kind in _SPELLED_AS
            self._spelled_before = False
        elif name == "img":
            for char in tag.attributes.get("alt", "")[:256]:
                self._cleaned.put(shown(char, "") or " ", first, end)

    def _substitute(self, tag: Tag, opens: bool, first: int, end: int) -> None:
        alias = tag.attributes.get("alias", "")
        if not (self._obeys and opens and alias):
            return
        for char in alias[:256]:
            given = shown(char, "")
            if given:
                self._cleaned.put(given, first, end)
        self.dropping, self._dropped_at = "sub", first

    def pause(self, ms: int, first: int, end: int) -> None:
        """Silence, if pauses are obeyed and there were not too many."""
        if not self._obeys:
            self._cleaned.put(" ", first, end)
            return
        if self._pauses_ms + ms > MAX_TURN_PAUSE_MS:
            ms = MAX_TURN_PAUSE_MS - self._pauses_ms
            self.warn(first, end, f"pauses of a turn end after {MAX_TURN_PAUSE_MS} ms", "CUT")
        self._pauses_ms += ms
        self._cleaned.pauses.append(Pause(self._cleaned.end, ms))
        self._cleaned.put(PAUSE, first, end)

    def spell(self, char: str, first: int) -> None:
        """A character of what is spelled."""
        given = _NAMES.get(char, char.upper())
        if not (given.isalnum() or given.isspace()):
            return
        if self._spelled_before:
            self._cleaned.put(" ", first, first)
        self._spelled_before = True
        start = self._cleaned.end
        self._cleaned.put(given, first, first + 1)
        self._cleaned.verbatim.append((start, start + len(given)))
