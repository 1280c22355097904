"""It does not matter how the text arrives, and nothing of it is lost."""

# ruff: noqa: RUF001 (punctuation of many scripts)

import itertools
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.text.markup.characters import speakable
from gateway.text.options import Markup, TextRules
from gateway.text.reader import Piece, TextReader
from tests.gateway.text.cases import rows

TEXTS = [
    *(text.replace("¦", "") for text, _ in rows("sentences.tsv") + rows("sentences_more.tsv")),
    *(text for text, _ in rows("markup.tsv")),
]
SIGNS = r"""
Hello Dr . ... ? ! 3 。 ” " , a No etc. mr. 中 ， 🙂 J. U.S. The in मैं है। كيف؟ - — % » « I http
< > <b> </b> <br> <p> </p> <!-- --> <x a=" b = <![CDATA[ ]]> </sub> <script> </script> </say-as>
<td> <tr> * ** _ __ ~~ ` ``` [ ] [a]( ) (b) ![ [^1] [1]: : \ \* & &amp; &#39; &am ; # | |--
https://x.org/a_b @ 5 p.m. St. x_y 2*3
"""
PIECES = st.sampled_from(
    [
        *SIGNS.split(),
        *("e\u0301", "\u0301", "\u200b", "\u200d", "\ufe0f", "\u20e3", "\u2028", "\t", "\x0c"),
        *(" ", " ", " ", "\n", "\n\n", "\n# ", "\n- ", "\n1. ", "\n> ", "\n---\n", "\n```\n"),
        *("\r\n", " " * 25, "x" * 25, "\n| a | b |\n", "[pause 1s]", '<break time="1s"/>'),
        *('<sub alias="y z">', '<say-as interpret-as="characters">', "</ssml:sub>"),
        *("[voice: y]", "[/voice]", '<voice name="y">', "</voice>", "[voice: "),
    ]
)
OPTIONS = st.sampled_from(
    [
        TextRules(),
        TextRules(markup=Markup.STRIP, newline_pause_ms=100, paragraph_pause_ms=500),
        TextRules(markup=Markup.OFF),
    ]
)


def read(parts: list[str], max_chars: int, options: TextRules) -> tuple[list[Piece], list, int]:
    reader = TextReader(options, max_chars)
    pieces = [piece for part in parts for piece in reader.feed(part)] + reader.finish()
    return pieces, reader.warnings, reader.trailing_pause_ms


def cut(text: str, cuts: list[int]) -> list[str]:
    bounds = [0, *sorted(cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(bounds)]


def check(text: str, max_chars: int, options: TextRules, cuts: list[int]) -> None:
    whole = read([text], max_chars, options)
    assert read(list(text), max_chars, options) == whole
    assert read(cut(text, cuts), max_chars, options) == whole
    end = 0
    for piece in whole[0]:
        assert end <= piece.first_char < piece.end_char <= len(text)
        assert text[piece.first_char : piece.end_char] == piece.written == piece.written.strip()
        assert len(piece.text) == len(piece.text.firsts) == len(piece.text.ends)
        assert piece.text.text == piece.text.text.strip()
        assert not any(c.isspace() and c != " " for c in piece.text.text if c != "\u00a0")
        first, last = piece.text.span(0, len(piece.text))
        assert piece.first_char <= first < last <= piece.end_char
        assert speakable(piece.text.text)
        end = piece.end_char


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join), st.integers(20, 60), OPTIONS, st.data())
def test_pieces_are_the_same_in_whatever_parts_the_text_arrives(
    text: str, max_chars: int, options: TextRules, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=20))
    check(text, max_chars, options, cuts)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300), st.integers(20, 60), OPTIONS, st.data())
def test_any_text_is_the_same_in_whatever_parts_it_arrives(
    text: str, max_chars: int, options: TextRules, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=20))
    check(text, max_chars, options, cuts)


@pytest.mark.parametrize("text", TEXTS)
def test_every_case_is_the_same_for_every_single_cut(text: str) -> None:
    whole = read([text], 200, TextRules())
    for at in range(0, len(text), 1 + len(text) // 80):
        assert read([text[:at], text[at:]], 200, TextRules()) == whole


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300), st.integers(20, 60))
def test_no_word_of_plain_text_is_lost_and_no_sentence_is_too_long(
    text: str, max_chars: int
) -> None:
    pieces, _, _ = read([text], max_chars, TextRules(markup=Markup.OFF))
    kept = "".join(c for piece in pieces for c in piece.text.text if speakable(c))
    assert kept == "".join(c for c in text if speakable(c))
    assert all(len(piece.text) <= max_chars for piece in pieces)
    spoken = "".join(piece.text.text for piece in pieces)
    assert not any(unicodedata.category(c) in ("Cc", "Co", "Cs") for c in spoken)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=40), st.integers(20, 60), OPTIONS, st.sets(st.integers(0, 40)))
def test_a_flush_gives_all_that_is_pending_and_the_text_goes_on(
    parts: list[str], max_chars: int, options: TextRules, flushes: set[int]
) -> None:
    text = "".join(parts)
    reader = TextReader(options, max_chars)
    pieces: list[Piece] = []
    for number, part in enumerate(parts):
        pieces += reader.feed(part)
        if number in flushes:
            pending = reader.pending
            flushed = reader.flush()
            assert pending or not flushed
            assert not reader.pending
            pieces += flushed
    pieces += reader.finish()
    end = 0
    for piece in pieces:
        assert end <= piece.first_char < piece.end_char
        assert text[piece.first_char : piece.end_char] == piece.written
        end = piece.end_char
