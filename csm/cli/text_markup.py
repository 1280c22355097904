"""The markup of a long text, as far as it matters to where the text is cut.

What markup does is the gateway's to say (`gateway/text/markup`), which may not be installed where
`csm speak` is. This is the part of its grammar that reaches over a cut; tests compare the two.
"""

import re
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from csm.cli.text_spans import TextSpan, TextSpans
from csm.markup_tags import (
    BARE,
    DROPPED,
    LINES,
    MAX_ATTRIBUTES_CHARS,
    MAX_TAG_CHARS,
    PARAGRAPHS,
    VOID,
)

MAX_BRACKET_CHARS = 256
MAX_ADDRESS_CHARS = 1024
MAX_VOICE_DEPTH = 32
MAX_ELEMENT_CHARS = 4096
"""In which the end of an element is looked for that a cut would part."""

_BREAKS = r"\r\n\x0b\x0c\x85\u2028\u2029"
_SIGN = re.compile(rf"[{_BREAKS}]++|\\|`++|<|!?\[")
_LINE_BREAK = re.compile(rf"[{_BREAKS}]")
_LINE_START = re.compile(r"[ \t]*+(?:>(?![0-9=)(<])[ \t]*+)*+")
_FENCE = re.compile(r"`{3,}+(?![^\r\n`]{0,250}`)|~{3,}+")
_ESCAPED = re.compile(r"\\[`*_{}\[\]()#+\-.!|~<>&\"'\\]?")
_CODE_END = re.compile(rf"`++|[{_BREAKS}]")
_VALUE = r"(?:\"[^\"<]*+\"|'[^'<]*+'|[^\s\"'=<>`]++)"
_TAG = re.compile(
    r"<(?P<closing>/?)(?P<name>[A-Za-z][A-Za-z0-9:_-]{0,63}+)"
    rf"(?P<attributes>(?:\s++[A-Za-z_:@][A-Za-z0-9:_-]*+(?:\s*+=\s*+{_VALUE})?+)*+)"
    r"\s*+(?P<empty>/?)>"
)
_ATTRIBUTE = re.compile(rf"\s++([A-Za-z_:@][A-Za-z0-9:_-]*+)(?:\s*+=\s*+({_VALUE}))?+")
_DECLARATION = re.compile(r"<[!?][^<>]*+>")
_BRACKET = re.compile(r"!?\[((?:[^\[\]]|\[[^\[\]]*+\](?:\([^()\s]*+\))?+)*+)\]")
_ADDRESS = re.compile(r"\((?:[^()\n]|\([^()\n]*+\))*+\)|\[[^\[\]\n]*+\]")
_DEFINED = re.compile(r":[ \t]*+(?:<|https?:|ftp:|mailto:|www\.|[./#])")
_VOICE = re.compile(r"(/voice)|voice[ \t]*[:=][ \t]*[^\r\n]*[^\s][ \t]*", re.IGNORECASE)
_PAUSE = re.compile(r"pause|(?:pause|break|silence)[ :=]\s*\+?[0-9.]++\s*m?s\s*", re.IGNORECASE)
_CDATA = "<![CDATA["
NO_WIDTH = "\u200b"
"""A space of which nothing is spoken: signs on its two sides are not one."""


class _Open(NamedTuple):
    """A tag that holds for what is behind it."""

    kind: str
    tag: str
    """What opens it again."""
    named: bool = True
    """Whether an element names a voice, and so gives the one before it back."""


class TextMarkup:
    """Which characters of a text belong together, which are not spoken, which tags hold where."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.breaks: list[int] = []
        """Where a block or an element ends, and a sentence with it."""
        self._whole: list[TextSpan] = []
        self._loose: list[TextSpan] = []
        self._silent: list[TextSpan] = []
        self._left_out: list[TextSpan] = []
        self._open: list[_Open] = []
        self._too_deep = 0
        self._open_from = [0]
        self._open_tags: list[tuple[str, ...]] = [()]
        at = self._start_line(0)
        while found := _SIGN.search(text, at):
            at = self._read(found)
        self.silent = TextSpans(self._silent)
        self.left_out = TextSpans(self._left_out)
        """What of this a listener may miss: code, and other content that is not for reading."""
        self.whole = TextSpans(self._whole + self._silent)
        """What is never cut: a tag that was would be read as words."""
        self.together = TextSpans(self._whole + self._silent + self._loose)
        """This, and elements and rows that would be read otherwise if they were cut."""

    def says(self, text: str, begin: int, end: int) -> bool:
        """Whether there is a letter or a digit to speak in [begin, end) of the text."""
        for silent in self.silent.between(begin, end):
            if any(map(str.isalnum, text[begin : silent.first])):
                return True
            begin = silent.end
        return any(map(str.isalnum, text[begin:end]))

    def breaks_between(self, begin: int, end: int) -> list[int]:
        """The breaks in [begin, end)."""
        return self.breaks[bisect_left(self.breaks, begin) : bisect_left(self.breaks, end)]

    def tags_at(self, position: int) -> tuple[str, ...]:
        """The tags that hold at `position`: they open again what is open there."""
        return self._open_tags[bisect_right(self._open_from, position) - 1]

    def _read(self, found: re.Match[str]) -> int:
        """Reads what a sign begins; where to go on."""
        text, at, sign = self._text, found.start(), found[0]
        if sign[0] == "`":
            return self._code(at, found.end())
        if sign == "<":
            return self._angle(at)
        if sign[-1] == "[":
            return self._bracket(at, found.end())
        if sign == "\\":
            escaped = _ESCAPED.match(text, at)
            return escaped.end() if escaped else at + 1
        return self._start_line(found.end())

    def _start_line(self, at: int) -> int:
        """Lines from `at` on: blocks of code, one behind the other, or a row of a table."""
        text = self._text
        while True:
            blanks = _LINE_START.match(text, at)
            first = blanks.end() if blanks else at
            fence = _FENCE.match(text, first)
            if fence is None:
                break
            sign, length = fence[0][0], len(fence[0])
            closing = rf"[\r\n][^\S\r\n]*+{sign}{{{length},}}+[^\S\r\n]*+(?=[\r\n]|\Z)"
            closed = re.compile(closing).search(text, fence.end())
            end = min(closed.end() + 1, len(text)) if closed else len(text)
            self._leave_out(first, end)
            self._loose.append(TextSpan(at, end))
            self.breaks += (at, end)
            at = end
        if text.startswith("|", first):
            self._loose.append(TextSpan(first, self._line_end(first)))
        return first

    def _line_end(self, at: int) -> int:
        found = _LINE_BREAK.search(self._text, at)
        return found.start() if found else len(self._text)

    def _leave_out(self, first: int, end: int) -> None:
        self._silent.append(TextSpan(first, end))
        self._left_out.append(TextSpan(first, end))

    def _code(self, at: int, end: int) -> int:
        """Code in a line, in which nothing is markup: to as many backticks or the line's end."""
        text = self._text
        if end - at == 1 and text[at - 1 : at].isalnum() and text[end : end + 1].isalnum():
            return end  # an apostrophe
        ended = len(text)
        for found in _CODE_END.finditer(text, end):
            if found[0][0] != "`":
                ended = found.start()
                break
            if found.end() - found.start() == end - at:
                ended = found.end()
                break
        self._hold(text[at:end] + NO_WIDTH, end, ended)
        return ended

    def _hold(self, tag: str, first: int, end: int) -> None:
        """A tag holds in [first, end), in which there are no others."""
        self._change(first, [*self._open, _Open("literal", tag)])
        self._change(end, self._open[:-1])

    def _angle(self, at: int) -> int:
        text = self._text
        if text.startswith("<!--", at):
            end = self._behind("-->", at + 4)
            self._silent.append(TextSpan(at, end))
            return end
        if text.startswith(_CDATA, at):
            end = self._behind("]]>", at + len(_CDATA))
            self._whole.append(TextSpan(at, at + len(_CDATA)))
            self._loose.append(TextSpan(at, end))
            self._hold(_CDATA, at + len(_CDATA), end)
            return end
        declared = _DECLARATION.match(text, at, at + MAX_TAG_CHARS)
        if declared:
            self._silent.append(TextSpan(at, declared.end()))
            return declared.end()
        many = text.find("=", at, at + MAX_TAG_CHARS) >= 0
        tag = _TAG.match(text, at, at + (MAX_ATTRIBUTES_CHARS if many else MAX_TAG_CHARS))
        if tag is None:
            return at + 1
        attributes = {one[1].lower(): one[2] for one in _ATTRIBUTE.finditer(tag["attributes"])}
        if any(value is None and name not in BARE for name, value in attributes.items()):
            self._whole.append(TextSpan(at, tag.end()))  # words in angle signs
            return at + 1
        given = {name: (value or "").strip("\"'") for name, value in attributes.items()}
        return self._tag(tag, given)

    def _tag(self, tag: re.Match[str], attributes: dict[str, str]) -> int:
        """Does what a tag asks for; where to go on."""
        first, end, text = tag.start(), tag.end(), self._text
        name, closing = tag["name"].lower().removeprefix("ssml:"), bool(tag["closing"])
        opens = not (closing or tag["empty"] or name in VOID)
        has_words = bool(attributes.get("alias") or attributes.get("alt"))
        (self._whole if has_words else self._silent).append(TextSpan(first, end))
        ends_block = (name in PARAGRAPHS or name in LINES) and (closing or name in VOID)
        if ends_block or (name == "s" and closing and self._is_open("speak")):
            self.breaks.append(end)
        if not opens and not closing:
            return end
        if name in DROPPED and opens:
            ended = self._element_end(name, end, len(text)) or len(text)
            self._leave_out(first, ended)
            return ended
        if name == "sub" and opens and attributes.get("alias"):
            ended = self._element_end(name, end, len(text)) or len(text)
            # Its alias is spoken, and what stands in it is not.
            self._loose.append(TextSpan(first, ended))
            self._silent.append(TextSpan(end, ended))
            return ended
        if name in ("say-as", "phoneme", "tr") and opens:
            self._loose.append(
                TextSpan(first, self._element_end(name, end, end + MAX_ELEMENT_CHARS) or end)
            )
        if name == "say-as":
            others = [one for one in self._open if one.kind != name]
            self._change(end, [*others, _Open(name, tag[0])] if opens else others)
        elif name == "speak" and opens and not self._is_open(name):
            self._change(end, [_Open(name, "<speak>"), *self._open])
        elif name == "voice" and opens:
            self._begin_voice(tag[0], bool(attributes.get("name", "").strip()), end)
        elif name == "voice":
            self._end_voice(end)
        return end

    def _is_open(self, kind: str) -> bool:
        return any(one.kind == kind for one in self._open)

    def _begin_voice(self, tag: str, named: bool, end: int) -> None:
        if sum(one.kind == "voice" for one in self._open) >= MAX_VOICE_DEPTH:
            self._too_deep += 1
        else:
            self._change(end, [*self._open, _Open("voice", tag, named)])

    def _end_voice(self, end: int) -> None:
        self.breaks.append(end)
        at = max((n for n, one in enumerate(self._open) if one.kind == "voice"), default=-1)
        if self._too_deep:
            self._too_deep -= 1
        elif at >= 0:
            # Without a name it gave no voice, and gives none back.
            stays = ("say-as",) if self._open[at].named else ("say-as", "bracket")
            behind = [one for one in self._open[at + 1 :] if one.kind in stays]
            self._change(end, self._open[:at] + behind)

    def _element_end(self, name: str, at: int, limit: int) -> int | None:
        ending = re.compile(f"</(?:ssml:)?{re.escape(name)}", re.IGNORECASE)
        closing = ending.search(self._text, at, limit)
        end = self._text.find(">", closing.start()) if closing else -1
        return end + 1 if end >= 0 else None

    def _bracket(self, at: int, inner_at: int) -> int:
        text = self._text
        found = _BRACKET.match(text, at, at + MAX_BRACKET_CHARS)
        if found is None:
            return inner_at
        inner, end = found[1], found.end()
        voice = _VOICE.fullmatch(inner)
        if voice or _PAUSE.fullmatch(inner):
            self._silent.append(TextSpan(at, end))
            if voice:
                self._voice_tag(found[0].removeprefix("!"), bool(voice[1]), end)
            return end
        at_line_start = not at or _LINE_BREAK.match(text[at - 1])
        if at_line_start and not inner.startswith("^") and _DEFINED.match(text, end):
            self._silent.append(TextSpan(at, self._line_end(end)))
            return self._line_end(end)
        if inner.startswith("^"):
            self._silent.append(TextSpan(at, end))
            return end
        address = _ADDRESS.match(text, end, end + MAX_ADDRESS_CHARS)
        if address and not inner and text[at] == "!":
            self._silent.append(TextSpan(at, address.end()))
            return address.end()
        if address:
            self._whole.append(TextSpan(at, address.end()))
        return inner_at

    def _voice_tag(self, tag: str, back: bool, end: int) -> None:
        kept = list(self._open)
        while kept and kept[-1].kind == "bracket":
            kept.pop()
        if not back or any(one.kind in ("voice", "bracket") for one in kept):
            kept.append(_Open("bracket", tag))
        self._change(end, kept)

    def _change(self, position: int, opened: list[_Open]) -> None:
        self._open = opened
        self._open_from.append(position)
        self._open_tags.append(tuple(one.tag for one in opened))

    def _behind(self, ending: str, at: int) -> int:
        found = self._text.find(ending, at)
        return found + len(ending) if found >= 0 else len(self._text)
