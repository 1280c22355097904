"""Takes the markup out of a text as it arrives: SSML, HTML and Markdown.

The text is read from left to right, once. Each reading function goes on from a sign and says
where it came to, or None where what follows decides; it then is asked again, with more of the
text, and what it says does not depend on how much that is. So the text may be cut anywhere.
"""

# ruff: noqa: RUF001 (punctuation of many scripts)

import html
import re
from html.entities import html5

from gateway.text.markup.blocks import Block, read_line_start
from gateway.text.markup.brackets import Bracket, read_bracket
from gateway.text.markup.cleaned import LINE, LINE_END, PARAGRAPH
from gateway.text.markup.elements import Elements
from gateway.text.markup.emphasis import MAX_RUN, goes_on, is_plain
from gateway.text.markup.left_out import SkippedMarkup, SkippedPart
from gateway.text.markup.output import MarkupOutput
from gateway.text.markup.tags import Angle, Tag, read_tag
from gateway.text.options import Markup

# Characters that mean themselves wherever they stand. A digit may begin a keycap.
_WORDS = re.compile(r"(?:[,;]? [A-Za-z]++(?![^A-Za-z ,;.?'-]))++")
"""Further words behind one, up to the first sign that may be more than itself."""
_ORDINARY = re.compile(
    r"(?:[A-Za-z,.;:?'\"()/%$+={}^@\u00a1-\u00ac\u00ae-\u02ff‘’“”–—…-]"
    r"|[0-9](?=[^\ufe0f\u20e3]))+"
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MAYBE_ENTITY = re.compile(
    r"&(?:#(?:[0-9]{0,7}|[xX][0-9a-fA-F]{0,6})|[A-Za-z][A-Za-z0-9]{0,31})?\Z"
)
_LINE_BREAKS = "\r\n\x0b\x0c\x85\u2028\u2029"
_GOES_ON = re.compile(r"<|\[pause|\[/?voice|\[/?v(?:o(?:ic?)?)?\Z", re.IGNORECASE)
"""What a flush leaves as it is."""
_HEADING_END = re.compile(r"#+[ \t]*(?=[\r\n]|\Z)")
_ESCAPABLE = frozenset("`*_{}[]()#+-.!|~<>&\"'\\")


class MarkupReader:
    """Parts of one turn's text in; `output.cleaned` grows by what is certain of it."""

    def __init__(self, markup: Markup) -> None:
        self.output = MarkupOutput()
        self.elements = Elements(markup, self.output)
        self._left_out = SkippedMarkup(self.output, self.elements)
        self._plain = markup is Markup.OFF
        self.tail = ""
        """What is not certain yet: bounded, as every sign is plain that nothing closes."""
        self.position = 0
        """Where `tail` begins in the text."""
        self._before = ""
        """The character before the one that is read."""
        self._line_start = True
        self._heading = False
        self._row = False
        """Whether the line is a row of a table."""
        self._code = 0
        """Backticks that opened code in a line."""
        self._word_end = ""
        """The last letters of the word."""
        self._in_address = False
        """Whether the word is an address: https://, www."""
        self._links: dict[int, int] = {}
        """Where the words of links end, and where all of the link does."""
        self._angles: set[int] = set()
        """Where angle signs stand that close words to be read."""

    def feed(self, part: str) -> None:
        """More of the text."""
        self.tail += part
        self._read(False, False)

    def flush(self) -> None:
        """Signs that are not certain yet are plain ones; only a tag may still go on."""
        self._read(True, True)

    def begin_part(self, voice: str) -> None:
        """What follows is spoken by that voice, the turn's own for an empty name: signs that are
        not certain yet are plain ones, as no tag goes on in another's words."""
        self._read(True, False)
        self.elements.voices.begin_part(voice, self.position)

    @property
    def held(self) -> str:
        """What is not certain yet, and a flush would give."""
        return "" if self._left_out.active or _GOES_ON.match(self.tail) else self.tail

    def finish(self) -> None:
        """The text has ended."""
        self._read(True, False)
        self._left_out.finish(self.position)
        self.output.cleaned.settle()

    def _read(self, final: bool, tags_go_on: bool) -> None:
        text, at, origin = self.tail, 0, self.position
        while at < len(text):
            ended = final and not (tags_go_on and _GOES_ON.match(text, at))
            after = self._step(text, at, origin, ended)
            if after is None:
                break
            self._before = text[after - 1]
            at = after
        self.tail = text[at:]
        self.position = origin + at
        self.output.cleaned.settle()

    def _step(self, text: str, at: int, origin: int, final: bool) -> int | None:
        """Reads on from `at`, which is `origin` + `at` in the caller's text."""
        char = text[at]
        if self._left_out.active:
            after = self._left_out.read(text, at, origin, final)
            self._line_start = self._line_start or self._left_out.at_line_start
            return after
        if self._line_start and not self._plain and char not in _LINE_BREAKS:
            return at + 1 if char in " \t" else self._start_line(text, at, origin, final)
        run = _ORDINARY.match(text, at)
        if run:
            end = run.end()
            if not (self._links or self._angles or self._in_address or self.output.spelled):
                # Most of any text: several words at once.
                words = _WORDS.match(text, end)
                end = words.end() if words else end
            return self._ordinary(text, at, end, origin)
        position = origin + at
        if position in self._links or position in self._angles:
            return self._closing(at, origin)
        if self._plain or (self._code and char != "`"):
            return self._character(text, at, origin)
        if char in "*_~`":
            return self._signs(text, at, origin, final)
        if char == "<":
            return self._angle(text, at, origin, final)
        if char == "&":
            return self._entity(text, at, origin, final)
        if char == "[":
            return self._bracket(text, at, origin, final)
        if char == "|" and self._row:
            self.output.begin_cell(position)
            return at + 1
        if char in "!\\#0123456789":
            return self._sign(text, at, origin, final)
        return self._character(text, at, origin)

    def _ordinary(self, text: str, at: int, end: int, origin: int) -> int:
        if self._links or self._angles:
            # What was left out has passed over some of them.
            self._links = {p: e for p, e in self._links.items() if p >= origin + at}
            self._angles = {p for p in self._angles if p >= origin + at}
        run = text[at:end]
        self._line_start = False
        word = run.rpartition(" ")[2]
        if len(word) < len(run):
            self._end_word()
        self._word_end += word
        if "://" in self._word_end or "www." in self._word_end:
            self._in_address = True
        self._word_end = self._word_end[-3:]
        self.output.copy(run, origin + at)
        return end

    def _closing(self, at: int, origin: int) -> int:
        """What closes the words of a link, or of an address in angle signs."""
        self._angles.discard(origin + at)
        self._end_word()
        return self._links.pop(origin + at, origin + at + 1) - origin

    def _character(self, text: str, at: int, origin: int) -> int:
        char, position = text[at], origin + at
        if not char.isalnum():
            self._end_word()
        if char in _LINE_BREAKS:
            self._break_line(char, position)
        else:
            self._line_start = self._line_start and char in " \t"
            self.output.show(char, self._before, position, position + 1)
        return at + 1

    def _end_word(self) -> None:
        self._in_address, self._word_end = False, ""

    def _break_line(self, char: str, position: int) -> None:
        if char == "\n" and self._before == "\r":
            return
        if char == "\u2029" or self._line_start:
            mark = PARAGRAPH
        elif char in "\u2028\x0c" or self._row or self._heading or self._before == "\\":
            mark = LINE_END
        else:
            mark = LINE
        self.output.put_break(mark, position, position + 1)
        self.output.begin_row()
        self._line_start, self._row, self._heading, self._code = True, False, False, 0

    def _start_line(self, text: str, at: int, origin: int, final: bool) -> int | None:
        start = read_line_start(text, at, final)
        block, position, output = start.block, origin + at, self.output
        if block is Block.WAIT:
            return None
        self._line_start = block is Block.QUOTE
        if block in (Block.HEADING, Block.RULE):
            output.put_break(PARAGRAPH, position, position)
            self._heading = block is Block.HEADING
        elif block in (Block.ITEM, Block.NUMBER, Block.ROW):
            output.put_break(LINE_END, position, position)
            output.item_start = block is not Block.ROW
            self._row = block is Block.ROW
        elif block is Block.FENCE:
            self._left_out.begin_code(text[at : start.end], position)
        return start.end if start.end > at else self._step(text, at, origin, final)

    def _signs(self, text: str, at: int, origin: int, final: bool) -> int | None:
        """Emphasis, strike-through and code."""
        char, end = text[at], at + 1
        while end < len(text) and end - at < MAX_RUN and text[end] == char:
            end += 1
        if end == len(text) and not final:
            return None
        num_signs, before, after = end - at, self._before, text[end : end + 2]
        if char != "`":
            plain = is_plain(char, num_signs, before, after, final)
            if plain is None:
                return None
            if plain or (self._in_address and goes_on(after)):
                self.output.copy(text[at:end], origin + at)
        elif not self._code and num_signs == 1 and before.isalnum() and after[:1].isalnum():
            self.output.give("'", origin + at, origin + end)
        elif not self._code:
            self._code = num_signs
        elif self._code == num_signs:
            self._code = 0
        return end

    def _angle(self, text: str, at: int, origin: int, final: bool) -> int | None:
        found = read_tag(text, at, self._before.isalnum(), final)
        if found is Angle.WAIT:
            return None
        if found is Angle.PLAIN:
            return self._character(text, at, origin)
        if found is Angle.COMMENT:
            self._left_out.begin(SkippedPart.COMMENT, origin + at)
            return at + len("<!--")
        if found is Angle.CDATA:
            self._left_out.begin(SkippedPart.CDATA, origin + at)
            return at + len("<![CDATA[")
        if isinstance(found, Tag):
            self.elements.meet(found, origin + at, origin + found.end)
            return found.end
        self._angles.add(origin + found.end)
        return at + 1

    def _entity(self, text: str, at: int, origin: int, final: bool) -> int | None:
        entity = _ENTITY.match(text, at)
        if entity is None and not final and _MAYBE_ENTITY.match(text, at):
            return None
        known = entity and (entity[0][1] == "#" or entity[0][1:] in html5)
        if entity is None or not known:
            return self._character(text, at, origin)
        chars = html.unescape(entity[0])
        self.output.put_words(chars, origin + at, origin + entity.end())
        return entity.end()

    def _bracket(self, text: str, at: int, origin: int, final: bool) -> int | None:
        line_start = self._before in ("", *_LINE_BREAKS)
        found = read_bracket(text, at, line_start, self.output.item_start, final)
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
        elif kind is Bracket.VOICE:
            self.elements.voice(found.voice, origin + at, origin + found.end)
        elif kind is Bracket.DEFINITION:
            self._left_out.begin(SkippedPart.LINE, origin + at)
        return found.end

    def _sign(self, text: str, at: int, origin: int, final: bool) -> int | None:
        """Signs that the next character makes markup: an image's, an escape, a keycap's."""
        char, position, after = text[at], origin + at, text[at + 1 : at + 2]
        if char == "#" and self._heading and not self._before.strip():
            closing = _HEADING_END.match(text, at)
            if closing:
                ended = final or closing.end() < len(text) or closing.end() - at > MAX_RUN
                return closing.end() if ended else None
        if not after and not final:
            return None
        if char == "!" and after == "[":
            found = read_bracket(text, at + 1, False, False, final)
            if found.kind is Bracket.WAIT:
                return None
            if found.kind is Bracket.LINK:
                if found.close == at + 2:
                    self.elements.warn(position, origin + found.end, "an image is left out")
                return at + 1
        elif char == "\\" and after:
            if after in _ESCAPABLE:
                self.output.give(after, position, position + 2)
                return at + 2
            if after in "\r\n":
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
