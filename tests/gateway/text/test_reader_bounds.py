"""No text, however it arrives, takes long to read, nor more memory than it has characters."""

# ruff: noqa: RUF001 (punctuation of many scripts)

import time
import tracemalloc

import pytest

from gateway.text.options import TextRules
from gateway.text.reader import Piece, TextReader

UNITS = {
    "letters": "x",
    "digits": "7",
    "combining marks": "\u0301",
    "letters under many marks": "a" + "\u0301" * 40,
    "right-to-left overrides": "\u202e",
    "zero-width spaces": "\u200b",
    "joiners": "\u200d",
    "blanks": " ",
    "line breaks": "\n",
    "carriage returns": "\r\n",
    "lines": "x\n",
    "stops": ".",
    "wide stops": "。",
    "lone stops": ". ",
    "stops and closing quotes": '."',
    "opening quotes": "“",
    "titles": "mr. ",
    "titles without a space": "mr.",
    "initials": "J. ",
    "short words": "a ",
    "clause marks": "，",
    "emoji": "🙂",
    "no spaces": "中",
    "angle signs": "<",
    "opening tags": "<b>",
    "tags that only begin": "<b ",
    "tags of attributes without end": '<b a="',
    "attributes": " a=b",
    "comments": "<!--",
    "pauses": "<break/>",
    "paragraphs": "<p>",
    "stars": "*",
    "stars and words": "*a",
    "underscores": "_",
    "tildes": "~",
    "backticks": "`",
    "brackets": "[",
    "brackets and words": "[a",
    "links that only begin": "[a](",
    "links": "[a](b)",
    "closing brackets": "]",
    "ampersands": "&",
    "entities": "&amp;",
    "backslashes": "\\",
    "bars": "|",
    "rows": "|a|b|\n",
    "rules": "- ",
    "headings": "#",
    "quotes": ">",
    "exclamation marks": "!",
    "images that only begin": "![",
    "fences": "```\n",
    "private use": "\ue000",
}
NUM_CHARS = 100_000


def read(parts: list[str], max_chars: int) -> list[Piece]:
    reader = TextReader(TextRules(), max_chars)
    return [piece for part in parts for piece in reader.feed(part)] + reader.finish()


PREFIX = "a, and so on etc.” "


@pytest.mark.parametrize("unit", [pytest.param(unit, id=name) for name, unit in UNITS.items()])
def test_no_text_takes_long_to_read(unit: str) -> None:
    """100,000 characters at once, in seconds of this process alone: 0.02 to 0.6 s."""
    text = (PREFIX + unit * NUM_CHARS)[:NUM_CHARS] + "Y."
    began = time.process_time()
    read([text], 4096)
    assert time.process_time() - began < 3


@pytest.mark.parametrize("unit", [pytest.param(unit, id=name) for name, unit in UNITS.items()])
def test_no_text_takes_long_to_read_one_by_one(unit: str) -> None:
    """What is looked at again with every character is bounded: 5 to 20 microseconds for each."""
    text = (PREFIX + unit * NUM_CHARS)[: NUM_CHARS // 10] + "Y."
    began = time.process_time()
    one_by_one = read(list(text), 200)
    assert time.process_time() - began < 1
    assert read([text], 200) == one_by_one


def test_tags_may_be_nested_as_deep_as_they_like() -> None:
    text = "<b>" * 10_000 + "Deep." + "</b>" * 10_000
    assert [piece.text.text for piece in read([text], 200)] == ["Deep."]


@pytest.mark.parametrize("unit", [" ", "\n", "<", "<b", "*", "[", "`", "\u202e", "<!-- ", "& "])
def test_what_is_held_back_is_bounded(unit: str) -> None:
    reader = TextReader(TextRules(), 200)
    for _ in range(2000):
        reader.feed(unit)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(10_000):
        reader.feed(unit)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 300_000
