"""What the start of a line says of it in Markdown: heading, item, quote, table, rule, code."""

# ruff: noqa: RUF001 (punctuation of many scripts)

import re
from dataclasses import dataclass
from enum import Enum

MAX_START_CHARS = 256
"""What is looked at of a line's start, at the most."""

_HEADING = re.compile(r"#{1,6}(?=[ \t\r\n]|\Z)")
_RULE = re.compile(r"([-*_=])(?:[ \t]*\1){2,}[ \t]*(?=[\r\n]|\Z)")
_MAYBE_RULE = re.compile(r"([-*_=])(?:[ \t]*\1)*[ \t]*\Z")
_ITEM = re.compile(r"[-*+•◦▪‣·–—■●○►➢✓✔☐☑]️?[ \t]+")
_NUMBER = re.compile(
    r"(?:\(?(?:[0-9]{1,3}|[A-Za-z]|[ivxIVX]{1,5})\)|(?:[0-9]{1,3}|[A-Za-z])\.)[ \t]"
)
_MAYBE_NUMBER = re.compile(r"\(?(?:[0-9]{1,3}|[A-Za-z]|[ivxIVX]{1,5})?[.)]?\Z")
_FENCE = re.compile(r"(?:`{3,}|~{3,})")
_SEPARATORS = re.compile(r"[|:\- \t]*-[|:\- \t]*(?=[\r\n]|\Z)")
_MAYBE_SEPARATORS = re.compile(r"[|:\- \t]*\Z")
_ITEM_SIGNS = frozenset("-*+•◦▪‣·–—■●○►➢✓✔☐☑")


class Block(Enum):
    """What a line is."""

    TEXT = 1
    WAIT = 2
    """What follows decides."""
    HEADING = 3
    ITEM = 4
    NUMBER = 5
    """An item whose number is read."""
    QUOTE = 6
    RULE = 7
    """A line drawn; of a table, of a heading, or of its own."""
    ROW = 8
    """Of a table."""
    FENCE = 9
    """Code begins."""


@dataclass(frozen=True, slots=True)
class LineStart:
    """What a line is, and where its text begins."""

    block: Block
    end: int


def read_line_start(text: str, at: int, final: bool) -> LineStart:
    """What the line is whose first character that is no blank stands at `at`.

    The answer does not depend on how much of the text is there: it is WAIT while more may
    change it, which with `final` is never.
    """
    window = text[at : at + MAX_START_CHARS]
    more = len(window) < MAX_START_CHARS and not final
    wait, plain = LineStart(Block.WAIT, at), LineStart(Block.TEXT, at)
    char = window[0]
    if char == "#":
        run = len(window) - len(window.lstrip("#"))
        if run == len(window) and more:
            return wait
        heading = _HEADING.match(window)
        return LineStart(Block.HEADING, at + heading.end()) if heading else plain
    if char in "-*_=" and (found := _rule(window, at, more)):
        return found
    if char in _ITEM_SIGNS:
        item = _ITEM.match(window)
        if item:
            return (
                LineStart(Block.ITEM, at + item.end())
                if item.end() < len(window) or not more
                else wait
            )
        return wait if more and len(window) <= 2 and window[1:].strip("\ufe0f") == "" else plain
    if char in "`~":
        return _fence(window, at, more, plain, wait)
    if char == ">":
        if len(window) == 1:
            return wait if more else plain
        return (
            plain if window[1].isdigit() or window[1] in "=)(<" else LineStart(Block.QUOTE, at + 1)
        )
    if char == "|":
        if _MAYBE_SEPARATORS.match(window) and more:
            return wait
        rule = _SEPARATORS.match(window)
        return LineStart(Block.RULE, at + rule.end()) if rule else LineStart(Block.ROW, at)
    if _NUMBER.match(window):
        return LineStart(Block.NUMBER, at)
    return wait if more and _MAYBE_NUMBER.match(window) else plain


def _rule(window: str, at: int, more: bool) -> LineStart | None:
    if more and _MAYBE_RULE.match(window):
        return LineStart(Block.WAIT, at)
    rule = _RULE.match(window)
    return LineStart(Block.RULE, at + rule.end()) if rule else None


def _fence(window: str, at: int, more: bool, plain: LineStart, wait: LineStart) -> LineStart:
    fence = _FENCE.match(window)
    if fence is None:
        run = len(window) - len(window.lstrip(window[0]))
        return wait if more and run == len(window) else plain
    # Behind the opening fence stands the language, and no more backticks.
    rest = window[fence.end() :]
    line_end = min((rest.find(c) for c in "\r\n" if c in rest), default=-1)
    if line_end < 0 and more and window[0] not in rest:
        return wait
    info = rest if line_end < 0 else rest[:line_end]
    if "`" in info and window[0] == "`":
        return plain
    return LineStart(Block.FENCE, at + fence.end())


def closes_fence(line: str, fence: str) -> bool:
    """Whether a whole line closes the code that `fence` opened."""
    stripped = line.strip()
    return len(stripped) >= len(fence) and not stripped.strip(fence[0])
