"""Takes the markup out of a text as it arrives: SSML, HTML and Markdown."""

# ruff: noqa: RUF001 (punctuation of many scripts)

from __future__ import annotations

import html
import re

from gateway.text.markup.blocks import Block, closes_fence, read_line_start
from gateway.text.markup.brackets import Bracket, read_bracket
from gateway.text.markup.characters import shown
from gateway.text.markup.cleaned import LINE, LINE_END, PARAGRAPH, Cleaned
from gateway.text.markup.elements import Elements
from gateway.text.markup.emphasis import MAX_RUN, is_plain
from gateway.text.markup.tags import Angle, Angled, read_tag
from gateway.text.options import Markup

_ORDINARY = re.compile(
    r"(?:[A-Za-z,.;:?'\"()/%$+={}^@>\u00a1-\u00ac\u00ae-\u02ff‘’“”–—…-]|[0-9](?=[^\ufe0f\u20e3]))+"
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MAYBE_ENTITY = re.compile(
    r"&(?:#(?:[0-9]{0,7}|[xX][0-9a-fA-F]{0,6})|[A-Za-z][A-Za-z0-9]{0,31})?\Z"
)
_ENDS = {"comment": "-->", "cdata": "]]>", "line": "\n"}
_LINE_BREAKS = "\r\n\x0b\x0c\x85\u2028\u2029"
_ESCAPABLE = frozenset("`*_{}[]()#+-.!|~<>&\"'\\")
_MAX_CODE_LINE_CHARS = 128


class MarkupReader:
    """Parts of one turn's text in; `cleaned` grows by what is certain of it."""

    def __init__(self, markup: Markup) -> None:
        self.cleaned = Cleaned()
        self.elements = Elements(markup, self.cleaned)
        self._plain = markup is Markup.OFF
        self._obeys = markup is Markup.OBEY
        self.tail = ""
        """What is not certain yet: bounded, as every sign is plain that nothing closes."""
        self.position = 0
        """Where `tail` begins in the text."""
        self._wanted = ""
        """One of these characters, or so many in all, must come before `tail` is looked at."""
        self._limit = 0
        self._before = ""
        """The character before `tail`."""
        self._line_start = True
        self._item_start = False
        self._blank = True
        """Whether white space was the last thing given."""
        self._table = False
        self._cells = 0
        self._cell_at = -1
        self._code = 0
        """Backticks that opened code."""
        self._fence = ""
        self._fence_at = 0
        self._code_line = ""
        self._links: dict[int, int] = {}
        """Where what stands behind a link's words begins, and where it ends."""
        self._angles: set[int] = set()
        self._until = ""
        """What ends a part that is dropped, or given as it is: "comment", "cdata"."""

    def feed(self, part: str) -> None:
        """More of the text."""
        self.tail += part
        if self._wanted:
            if len(self.tail) < self._limit and not any(c in part for c in self._wanted):
                return
            self._wanted = ""
        self._read(False)

    def settle(self, finish: bool) -> None:
        """Makes plain what is not certain: a tag that has only begun may still go on after it,
        unless the text has ended."""
        self._wanted = ""
        self._read(True, keep=not finish)
        if finish:
            self._finish()

    def _finish(self) -> None:
        if self._fence:
            self._end_fence(self.position)
        self.elements.finish(self.position)
        self.cleaned.settle()

    def _read(self, final: bool, keep: bool = False) -> None:
        text, at, size = self.tail, 0, len(self.tail)
        origin = self.position
        while at < size:
            if keep and text[at] == "<" and not self._fence and not self._plain:
                # Looked at as if more were to come.
                after = self._step(text, at, origin, False)
            else:
                after = self._step(text, at, origin, final)
            if after is None:
                break
            self._before = text[after - 1]
            at = after
        self.tail = text[at:]
        self.position = origin + at
        self.cleaned.settle()

    def _wait(self, wanted: str = "", limit: int = 0) -> None:
        self._wanted, self._limit = wanted, limit

    def _step(self, text: str, at: int, origin: int, final: bool) -> int | None:
        """Reads on from `at`; where it came to, or None where what follows decides."""
        if self._plain:
            return self._character(text, at, origin)
        if self._fence:
            return self._in_fence(text, at, origin)
        if self._until or self.elements.dropping:
            return self._in_part(text, at, origin, final)
        char = text[at]
        if self._line_start:
            if char in " \t":
                self._before = char
                return at + 1
            if char not in _LINE_BREAKS:
                return self._start_line(text, at, origin, final)
        run = _ORDINARY.match(text, at)
        if run is not None:
            return self._ordinary(text, at, run.end(), origin)
        if self._code and char not in "`" + _LINE_BREAKS:
            return self._character(text, at, origin)
        if char in "*_~`":
            return self._signs(text, at, origin, final)
        if char == "<":
            return self._angle(text, at, origin, final)
        if char == "&":
            return self._entity(text, at, origin, final)
        if char == "[":
            return self._bracket(text, at, origin, final)
        if char in "]!\\|>" or char.isdigit() or char in "#":
            return self._sign(text, at, origin, final)
        return self._character(text, at, origin)

    # What is given.

    def _ordinary(self, text: str, at: int, end: int, origin: int) -> int | None:
        """Characters that mean themselves wherever they stand."""
        if self._angles or self._links:
            stop = min((p for p in (*self._angles, *self._links) if p >= origin + at), default=-1)
            if at + origin == stop:
                return self._sign(text, at, origin, True)
            if 0 <= stop < origin + end:
                end = stop - origin
        if self.elements.spelled:
            for index in range(at, end):
                self._spelled(text[index], origin + index)
            return end
        self._begin_cell()
        self.cleaned.copy(text[at:end], origin + at)
        self._blank = self._item_start = False
        return end

    def _begin_cell(self) -> None:
        """A cell with something in it: the one before it ends with a comma."""
        if self._cell_at >= 0:
            if self._cells:
                self.cleaned.put(", ", self._cell_at, self._cell_at + 1)
            self._cells += 1
            self._cell_at = -1

    def _give(self, char: str, first: int, end: int) -> None:
        """A character that stands for [first, end)."""
        if char == " ":
            if not self._blank:
                self.cleaned.put(" ", first, end)
                self._blank = True
            return
        self._begin_cell()
        self._blank = self._item_start = False
        if self.elements.spelled:
            self._spelled(char, first)
        else:
            self.cleaned.put(char, first, end)

    def _spelled(self, char: str, first: int) -> None:
        self._begin_cell()
        self.elements.spell(char, first)
        self._blank = self._item_start = False

    def _character(self, text: str, at: int, origin: int) -> int:
        char = text[at]
        if char in _LINE_BREAKS:
            self._break_line(char, origin + at)
        else:
            self._show(char, origin + at, origin + at + 1)
        return at + 1

    def _show(self, char: str, first: int, end: int) -> None:
        given = shown(char, self._before)
        if given:
            self._give(given, first, end)

    def _break_line(self, char: str, position: int) -> None:
        if char == "\n" and self._before == "\r":
            return
        if char == "\u2029" or self._line_start:
            self.put_break(PARAGRAPH, position, position + 1)
        elif char in "\u2028\x0c" or self._table or self._before == "\\":
            self.put_break(LINE_END, position, position + 1)
        else:
            self.put_break(LINE, position, position + 1)
        self._line_start, self._table, self._cell_at, self._code = True, False, -1, 0

    def put_break(self, mark: str, first: int, end: int) -> None:
        """One of the breaks of `cleaned`."""
        self.cleaned.put(mark, first, end)
        self._blank = True

    # Lines.

    def _start_line(self, text: str, at: int, origin: int, final: bool) -> int | None:
        start = read_line_start(text, at, final)
        block, position = start.block, origin + at
        if block is Block.WAIT:
            return None
        self._line_start = False
        if block is Block.QUOTE:
            self._line_start = True
        elif block is Block.HEADING:
            self.put_break(PARAGRAPH, position, position)
            self._table = True  # its end ends a sentence as that of a row does
        elif block in (Block.ITEM, Block.NUMBER):
            self.put_break(LINE_END, position, position)
            self._item_start = True
        elif block is Block.RULE:
            self.put_break(PARAGRAPH, position, position)
        elif block is Block.ROW:
            self.put_break(LINE_END, position, position)
            self._table, self._cells = True, 0
        elif block is Block.FENCE:
            self.put_break(PARAGRAPH, position, position)
            self._fence, self._fence_at = text[at : start.end], position
            self._code_line = "x"  # what follows the fence on its line
        if start.end > at:
            return start.end
        return self._step(text, at, origin, final)

    def _in_fence(self, text: str, at: int, origin: int) -> int:
        """Code is left out, line by line."""
        end = min((p for p in (text.find("\n", at), text.find("\r", at)) if p >= 0), default=-1)
        line = text[at : end if end >= 0 else len(text)]
        # Only the start of a line can close the code.
        self._code_line = (self._code_line + line)[:_MAX_CODE_LINE_CHARS]
        if end < 0:
            return len(text)
        closed = closes_fence(self._code_line, self._fence)
        self._code_line = ""
        if closed:
            self._end_fence(origin + end)
            self._line_start = True
        return end + 1

    def _end_fence(self, position: int) -> None:
        self.elements.warn(self._fence_at, position, "a block of code is left out")
        self._fence = self._code_line = ""
        self.put_break(PARAGRAPH, position, position)

    # Parts that are left out, or are no markup.

    def _in_part(self, text: str, at: int, origin: int, final: bool) -> int | None:
        ending = _ENDS.get(self._until) or f"</{self.elements.dropping}"
        lowered = text if self._until else text.lower()
        found = lowered.find(ending, at)
        # The last characters may be the first of the ending.
        end = found if found >= 0 else max(at, len(text) - (0 if final else len(ending) - 1))
        if self._until == "cdata":
            for index in range(at, end):
                self._character(text, index, origin)
                self._before = text[index]
        if found < 0:
            return end if end > at else None
        if self._until:
            self._line_start = self._until == "line"
            self._until = ""
            return found + len(ending)
        closing = text.find(">", found)
        if closing < 0:
            return found if found > at else (len(text) if final or len(text) - found > 64 else None)
        self.elements.end_drop(origin + closing + 1)
        return closing + 1

    # Signs.

    def _signs(self, text: str, at: int, origin: int, final: bool) -> int | None:
        """Emphasis, strike-through and code."""
        char = text[at]
        end = at + 1
        while end < len(text) and end - at < MAX_RUN and text[end] == char:
            end += 1
        if end == len(text) and not final:
            return None
        num, before, after = end - at, self._before, text[end : end + 1]
        if char == "`":
            if not self._code and num == 1 and before.isalnum() and after.isalnum():
                self._give("'", origin + at, origin + end)
            elif not self._code:
                self._code = num
            elif self._code == num:
                self._code = 0
            return end
        kept = is_plain(char, num, before, text[end : end + 2], final)
        if kept is None:
            return None
        if kept:
            for index in range(at, end):
                self._give(char, origin + index, origin + index + 1)
        return end

    def _angle(self, text: str, at: int, origin: int, final: bool) -> int | None:
        found = read_tag(text, at, self._before.isalnum(), final)
        if found is Angle.WAIT:
            return None
        if found is Angle.PLAIN:
            return self._character(text, at, origin)
        if found is Angle.COMMENT or found is Angle.CDATA:
            self._until = found.name.lower()
            return at + (4 if found is Angle.COMMENT else 9)
        if isinstance(found, Angled):
            self._angles.add(origin + found.end)
            return at + 1
        assert not isinstance(found, Angle)
        self.elements.meet(found, origin + at, origin + found.end, self)
        return found.end

    def _entity(self, text: str, at: int, origin: int, final: bool) -> int | None:
        entity = _ENTITY.match(text, at)
        if entity is None:
            if not final and _MAYBE_ENTITY.match(text, at):
                return None
            return self._character(text, at, origin)
        chars = html.unescape(entity[0])
        if chars == entity[0]:
            return self._character(text, at, origin)
        for char in chars:
            self._show(char, origin + at, origin + entity.end())
        return entity.end()

    def _bracket(self, text: str, at: int, origin: int, final: bool) -> int | None:
        start = self._before in ("", *_LINE_BREAKS)
        found = read_bracket(text, at, start, self._item_start, final)
        kind = found.kind
        if kind is Bracket.WAIT:
            return None
        if kind is Bracket.PLAIN:
            return self._character(text, at, origin)
        if kind is Bracket.LINK:
            self._links[origin + found.close] = origin + found.end
            return at + 1
        if kind is Bracket.PAUSE:
            self.elements.pause(found.pause_ms, origin + at, origin + found.end)
            self._blank = True
        elif kind is Bracket.DEFINITION:
            self._until = "line"
        return found.end

    def _sign(self, text: str, at: int, origin: int, final: bool) -> int | None:
        char, position = text[at], origin + at
        if char == "]" and position in self._links:
            return self._links.pop(position) - origin
        if char == ">" and position in self._angles:
            self._angles.discard(position)
            return at + 1
        if char == "|" and self._table:
            self._cell_at = position
            return at + 1
        if char in "]>|":
            return self._character(text, at, origin)
        after = text[at + 1 : at + 2]
        if not after and not final:
            return None
        if char == "!":
            if after == "[":
                found = read_bracket(text, at + 1, False, False, final)
                if found.kind is Bracket.WAIT:
                    return None
                if found.kind is Bracket.LINK:
                    if found.close == at + 2:
                        self.elements.warn(position, origin + found.end, "an image is left out")
                    return at + 1
        elif char == "\\":
            if after and after in _ESCAPABLE:
                self._give(after, position, position + 2)
                return at + 2
            if after and after in "\r\n":
                return at + 1
        elif after == "\ufe0f":
            keycap = text[at + 2 : at + 3]
            if not keycap and not final:
                return None
            if keycap == "\u20e3":
                return at + 3
        elif after == "\u20e3":
            return at + 2
        return self._character(text, at, origin)
