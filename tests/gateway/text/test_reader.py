"""Sentences of a text that arrives in parts: where they end, and what is taken out of them."""

from pathlib import Path

import pytest

from gateway.text.options import TextOptions
from gateway.text.reader import Piece, TextReader

DATA = Path(__file__).parent / "data"


def read(parts: list[str], max_chars: int = 200, options: TextOptions | None = None) -> list[Piece]:
    reader = TextReader(options or TextOptions(), max_chars)
    return [piece for part in parts for piece in reader.feed(part)] + reader.finish()


def rows(name: str) -> list[tuple[str, list[str]]]:
    """The cases of a table: a text with its cuts, and its sentences."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    parted = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(text.replace("\\n", "\n"), sentences.split(" | ")) for text, sentences in parted]


@pytest.mark.parametrize(("text", "sentences"), rows("sentences.tsv"))
def test_sentences_end_where_a_reader_would_end_them(text: str, sentences: list[str]) -> None:
    whole = text.replace("¦", "")
    pieces = read([whole])
    assert [piece.written for piece in pieces] == sentences
    assert read(text.split("¦")) == pieces
    assert read(list(whole)) == pieces
