"""Parts of a text in which no markup is looked for: code, comments, scripts, and literal text."""

import re
from enum import Enum

from gateway.text.markup.blocks import closes_fence
from gateway.text.markup.cleaned import PARAGRAPH
from gateway.text.markup.elements import Elements
from gateway.text.markup.output import MarkupOutput

_MAX_CODE_LINE_CHARS = 128
_MAX_CLOSING_TAG_CHARS = 64
_PREFIX = "ssml:"


class SkippedPart(Enum):
    """What ends a part."""

    COMMENT = "-->"
    CDATA = "]]>"
    LINE = "\n"


class SkippedMarkup:
    """The part that is being read, if there is one; all of it is left out but for CDATA."""

    def __init__(self, output: MarkupOutput, elements: Elements) -> None:
        self._output = output
        self._elements = elements
        self._part: SkippedPart | None = None
        self._part_at = 0
        self._fence = ""
        """What opened a block of code."""
        self._fence_at = 0
        self._line = ""
        """The start of the line of code."""
        self.at_line_start = False
        """Whether the part that ended last took a line break with it."""

    @property
    def active(self) -> bool:
        """Whether a part is being read."""
        return bool(self._part or self._fence or self._elements.dropping)

    def begin(self, part: SkippedPart, position: int) -> None:
        """A part begins."""
        self._part, self._part_at = part, position

    def begin_code(self, fence: str, position: int) -> None:
        """A block of code begins."""
        self._output.put_break(PARAGRAPH, position, position)
        self._fence, self._fence_at = fence, position
        self._line = "x"  # the language behind the fence

    def read(self, text: str, at: int, origin: int, final: bool) -> int | None:
        """Reads on from `at`; where it came to, or None where what follows decides."""
        self.at_line_start = False
        if self._fence:
            return self._code(text, at, origin)
        if self._part:
            return self._to_end(self._part, text, at, origin, final)
        return self._element(text, at, origin, final)

    def finish(self, position: int) -> None:
        """The text has ended at `position`."""
        if self._fence:
            self._end_code(position)
        if self._part is SkippedPart.COMMENT:
            self._elements.warn(self._part_at, position, "a comment without an end is left out")
        if self._elements.dropping:
            self._elements.end_drop(position)

    def _code(self, text: str, at: int, origin: int) -> int:
        breaks = [p for p in (text.find("\n", at), text.find("\r", at)) if p >= 0]
        end = min(breaks, default=len(text))
        self._line = (self._line + text[at:end])[:_MAX_CODE_LINE_CHARS]
        if not breaks:
            return end
        if closes_fence(self._line, self._fence):
            self._end_code(origin + end)
            self.at_line_start = True
        self._line = ""
        return end + 1

    def _end_code(self, position: int) -> None:
        self._elements.warn(self._fence_at, position, "a block of code is left out")
        self._fence = self._line = ""
        self._output.put_break(PARAGRAPH, position, position)

    def _to_end(
        self, part: SkippedPart, text: str, at: int, origin: int, final: bool
    ) -> int | None:
        ending = part.value
        found = text.find(ending, at)
        # The last characters may be the first of the ending.
        begun = (num for num in range(len(ending) - 1, 0, -1) if text.endswith(ending[:num]))
        kept = 0 if final else next(begun, 0)
        end = found if found >= 0 else max(at, len(text) - kept)
        if part is SkippedPart.CDATA:
            for index in range(at, end):
                before = text[index - 1] if index else ""
                self._output.show(text[index], before, origin + index, origin + index + 1)
        if found < 0:
            return end if end > at else None
        self._part = None
        self.at_line_start = part is SkippedPart.LINE
        return found + len(ending)

    def _element(self, text: str, at: int, origin: int, final: bool) -> int | None:
        name = self._elements.dropping
        ending = re.compile(f"</(?:{_PREFIX})?{re.escape(name)}", re.IGNORECASE)
        match = ending.search(text, at)
        if match is None:
            begun = len("</") + len(_PREFIX) + len(name) - 1
            end = max(at, len(text) - (0 if final else begun))
            return end if end > at else None
        closing = text.find(">", match.start())
        if closing < 0:
            if match.start() > at:
                return match.start()
            longer = len(text) - at > _MAX_CLOSING_TAG_CHARS
            return len(text) if final or longer else None
        self._elements.end_drop(origin + closing + 1)
        return closing + 1
