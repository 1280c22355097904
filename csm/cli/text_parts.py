"""A long text in parts that a server takes."""

import re

_BOUNDARIES = (re.compile(r"\n\s*\n"), re.compile(r"[.!?\u3002\uff01\uff1f][\"')\]]*\s"),
               re.compile(r"[,;:]\s|\s"))  # fmt: skip


_VOICE_TAG = re.compile(r"\[(?:voice[ \t]*[:=][^\[\]\r\n]{1,80}|/voice)\]", re.IGNORECASE)


def parts_by_voice(text: str, most_chars: int) -> list[tuple[int, str]]:
    """As `parts_of`, where a tag that says who speaks holds in the parts behind it too: it stands
    at the beginning of each, which then begins as many characters earlier."""
    longest = max((len(tag) for tag in _VOICE_TAG.findall(text)), default=0)
    if not longest or longest * 2 > most_chars:
        return parts_of(text, most_chars)
    parts, tag = [], ""
    for begin, part in parts_of(text, most_chars - longest):
        parts.append((begin - len(tag), tag + part))
        tag = (_VOICE_TAG.findall(part) or [tag])[-1]
    return parts


def parts_of(text: str, most_chars: int) -> list[tuple[int, str]]:
    """The text in parts of at most `most_chars` characters, and where each begins in it.

    Whole paragraphs where they fit, else whole sentences, else words. A word that is longer stays
    one part, which a server refuses.
    """
    parts = []
    begin = 0
    while most_chars and len(text) - begin > most_chars:
        end = _cut(text, begin, most_chars)
        if end is None:
            break
        parts.append((begin, text[begin:end].rstrip()))
        begin = end + len(text[end:]) - len(text[end:].lstrip())
    return [*parts, (begin, text[begin:])]


def _cut(text: str, begin: int, most_chars: int) -> int | None:
    """Where the part that begins there ends; None: nowhere before the text does."""
    for boundary in _BOUNDARIES:
        ends = [found.end() for found in boundary.finditer(text, begin, begin + most_chars + 1)]
        # A part that is much too short is worth less than a boundary that is the second best.
        if ends and ends[-1] > begin + most_chars // 4:
            return ends[-1]
    found = _BOUNDARIES[-1].search(text, begin + 1)
    return found.end() if found and text[found.end() :].strip() else None
