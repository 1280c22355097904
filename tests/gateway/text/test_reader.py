"""Sentences of a text that arrives in parts: where they end, and what is taken out of them."""

import pytest

from gateway.text.options import TextRules
from gateway.text.reader import Piece, TextReader
from tests.gateway.text.cases import rows


def read(parts: list[str], max_chars: int = 200, options: TextRules | None = None) -> list[Piece]:
    reader = TextReader(options or TextRules(), max_chars)
    return [piece for part in parts for piece in reader.feed(part)] + reader.finish()


@pytest.mark.parametrize(("text", "sentences"), rows("sentences.tsv") + rows("sentences_more.tsv"))
def test_sentences_end_where_a_reader_would_end_them(text: str, sentences: list[str]) -> None:
    whole = text.replace("¦", "")
    pieces = read([whole])
    assert [piece.written for piece in pieces] == sentences
    assert read(text.split("¦")) == pieces
    assert read(list(whole)) == pieces
