"""A long text in parts that a server takes."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from csm.cli.text_markup import NO_WIDTH, TextMarkup
from csm.cli.text_spans import TextSpan

_BOUNDARIES = (
    re.compile(r"\n\s*\n"),
    # A sentence that ends with its line, or a line before an item of a list, a heading or a row.
    re.compile(
        r"[.!?][\"')\]]*[ \t]*\r?\n"
        r"|\n(?=[ \t]*(?:[-*+\u2022|] |[0-9]{1,3}[.)] |#{1,6} ))"
    ),
    # Where the word before a full stop is no abbreviation: it is long, or closed.
    re.compile(r"(?:[^\W\d_]{4}\.|[)\]]\.|[!?])[\"')\]]*\s(?![a-z])"),
    re.compile(r"[.!?][\"')\]]*\s|[\u3002\uff01\uff1f][\"')\]\u201d\u2019\u300d\u300f]*"),
    re.compile(r"[,;:]\s|\s"),
)


class TextParts(NamedTuple):
    """What a text is said in."""

    parts: list[tuple[int, str]]
    """Each, and where it begins in the text; it begins earlier by the tags that it was given."""
    left_out: list[TextSpan]
    """Code and the like that no part has."""


def parts_of(text: str, most_chars: int, *, marked: bool = True) -> TextParts:
    """The text in parts of at most `most_chars` characters; 0: one part.

    Whole paragraphs where they fit, else whole sentences, else words. A word that is longer stays
    one part, which a server refuses. Unless it is not `marked`, markup is kept together: code and
    tags are not cut, and what is open at the end of a part, such as a voice, is opened again in
    the next. A part of which nothing is spoken is left out, as a server would refuse it.
    """
    if not most_chars or len(text) <= most_chars:
        return TextParts([(0, text)], [])
    markup = TextMarkup(text if marked else "")
    parts: list[tuple[int, str]] = []
    left_out: list[TextSpan] = []
    for begin, end, tags in _cuts(text, markup, most_chars, marked):
        if markup.says(text, begin, end):
            parts.append((begin - len(tags), tags + text[begin:end].rstrip()))
        else:
            left_out += markup.left_out.between(begin, end)
    if not parts:
        # Nothing of it is spoken; that is for the server to refuse.
        return TextParts([(0, text[:most_chars].rstrip())], [])
    return TextParts(parts, left_out)


def _cuts(
    text: str, markup: TextMarkup, most_chars: int, marked: bool
) -> Iterator[tuple[int, int, str]]:
    """Where each part begins and ends, and the tags it is given; in the end they cover the text."""
    begin = 0
    while begin < len(text):
        tags = _tags(text, markup, begin, most_chars) if marked else ""
        room = most_chars - len(tags)
        if len(text) - begin <= room:
            yield begin, len(text), tags
            return
        end, after = _cut(text, markup, begin, room)
        if end > begin:
            # Beside a word that is too long there is no place for them.
            yield begin, end, tags if end - begin <= room + 1 else ""
        if after > end:
            # So long that no part takes it, and not spoken.
            yield end, after, ""
        begin = after + len(text[after:]) - len(text[after:].lstrip())


def _tags(text: str, markup: TextMarkup, begin: int, most_chars: int) -> str:
    """The tags that open again what is open there; of too many, the innermost."""
    found = markup.tags_at(begin)
    while found and sum(map(len, found)) >= most_chars // 2:
        found = found[1:]
    tags = "".join(found)
    # What a line says by its first sign, a heading or an item of a list, it says only there.
    if text[:begin].rstrip(" \t")[-1:] in "\r\n":
        return tags + "\n" if tags else ""
    first = tags[:1] or text[begin]
    return tags if first.isalnum() or first in "<[(\"'" else NO_WIDTH + tags


def _cut(text: str, markup: TextMarkup, begin: int, room: int) -> tuple[int, int]:
    """Where the part that begins there ends, and where the text goes on behind it."""
    limit = begin + room + 1
    found = [[at.end() for at in boundary.finditer(text, begin, limit)] for boundary in _BOUNDARIES]
    found[0] += markup.breaks_between(begin, limit)
    fitting = [
        [end for end in ends if end > begin and len(text[begin:end].rstrip()) <= room]
        for ends in found
    ]
    whole = [[end for end in ends if not markup.together.are_cut_at(end)] for ends in fitting]
    for ends in whole:
        # A part that is much too short is worth less than a boundary that is the second best.
        if ends and max(ends) > begin + room // 4:
            return (max(ends),) * 2
    if any(whole):
        return (max(end for ends in whole for end in ends),) * 2
    # What belongs together is longer than a part.
    for ends in fitting:
        uncut = [end for end in ends if not markup.whole.are_cut_at(end)]
        if uncut:
            return (max(uncut),) * 2
    silent = markup.silent.holding(begin + room)
    if silent:
        return max(begin, silent.first), silent.end
    for ends in reversed(fitting):
        if ends:
            return (max(ends),) * 2
    # A word that is longer than a part.
    after = _BOUNDARIES[-1].search(text, begin + 1)
    return (after.end() if after and text[after.end() :].strip() else len(text),) * 2
