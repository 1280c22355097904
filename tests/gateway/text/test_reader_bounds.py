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


@pytest.mark.parametrize(("prefix", "max_chars"), [("", 4096), ("a, and so on etc.” ", 200)])
@pytest.mark.parametrize("unit", [pytest.param(unit, id=name) for name, unit in UNITS.items()])
def test_no_text_takes_long_however_it_arrives(prefix: str, unit: str, max_chars: int) -> None:
    """100,000 characters one by one, in seconds of this process alone."""
    text = (prefix + unit * NUM_CHARS)[:NUM_CHARS] + "Y."
    began = time.process_time()
    one_by_one = read(list(text), max_chars)
    middle = time.process_time()
    at_once = read([text], max_chars)
    ended = time.process_time()
    assert at_once == one_by_one
    assert middle - began < 3
    assert ended - middle < 3


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
