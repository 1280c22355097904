"""The words of a sentence: where each is in the caller's text, and how long it may take."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.marks.lengths import ends_clause, expected_ms
from gateway.text.markup.characters import is_wide, speakable
from gateway.text.sentence import Sentence

_TOKEN = re.compile(r"\S+")
_LONG_CHARS, _PART_CHARS = 32, 8
"""What is longer is no word but text of a script without spaces: it is parted."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as written; of several spoken ones where it is a number or has a sign."""

    first_char: int
    """In the caller's text."""
    end_char: int
    """One past its last character; `first_char` where it has none of its own."""
    written: str
    spoken_end: int
    """One past its last character in the sentence's spoken form."""
    expected_ms: int
    """What it takes at an even pace, relative to the others."""
    pause: bool = False
    """A mark behind it lets a pause be expected."""


def words_of(sentence: Sentence) -> list[Word]:
    """The words in order, each with at least one letter or digit in the spoken form."""
    found: list[Word] = []
    tokens = list(_tokens(sentence.text))
    for number, (start, end) in enumerate(tokens):
        token = sentence.text[start:end]
        first, until = _span(sentence, start, end)
        ms = expected_ms(token, last=number == len(tokens) - 1)
        if found and first < found[-1].end_char:
            # Several spoken words for one that is written, as "twenty twenty-six" for "2026".
            before = found.pop()
            first, until = before.first_char, max(before.end_char, until)
            ms += before.expected_ms
        at = sentence.first_char
        written = sentence.written[first - at : until - at]
        found.append(Word(first, until, written, end, ms, ends_clause(token)))
    return found


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    """Where the spoken words are in a spoken form; each wide character is one."""
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        if not any(map(is_wide, match.group())):
            size = _PART_CHARS if end - start > _LONG_CHARS else _LONG_CHARS
            for at in range(start, end, size):
                if speakable(text[at : min(at + size, end)]):
                    yield at, min(at + size, end)
            continue
        for at in range(start, end):
            if is_wide(text[at]) and speakable(text[at]):
                yield at, at + 1
            elif speakable(text[at]) and (at == start or is_wide(text[at - 1])):
                yield at, next((i for i in range(at, end) if is_wide(text[i])), end)


def _span(sentence: Sentence, start: int, end: int) -> tuple[int, int]:
    """The characters of the caller's text that a spoken word comes from, within the sentence's,
    without the marks around them."""
    text = sentence.text
    while start < end - 1 and not speakable(text[start]):
        start += 1
    while end - 1 > start and not speakable(text[end - 1]):
        end -= 1
    first, until = sentence.spoken.span(start, end)
    first = min(max(first, sentence.first_char), sentence.end_char)
    return first, max(first, min(until, sentence.end_char))


def total_ms(words: Sequence[Word]) -> int:
    """What they take together at an even pace."""
    return sum(word.expected_ms for word in words)
