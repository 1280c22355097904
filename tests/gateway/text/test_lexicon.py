"""Lexicons: which entry matches, layers, files and their errors, reloading, bounds."""

import logging
import os
import time
from pathlib import Path

import pytest

from csm import lexicon_file
from gateway.text.lexicon import Lexicon, LexiconError, LexiconFile, read_lexicon
from gateway.text.mapped import MappedText
from gateway.text.protection import revealed, without_private


def _said(lexicon: Lexicon, text: str) -> str:
    return revealed(lexicon.apply(MappedText.of(text))).text


def test_whole_words_only_and_the_longest_first() -> None:
    entries = Lexicon({"cat": "feline", "cat food": "kibble", "AT&T": "A T and T", "C++": "see"})
    assert _said(entries, "A cat, cats and cat food.") == "A feline, cats and kibble."
    assert (
        _said(entries, "concat AT&T's C++ at cat-food") == "concat A T and T's see at feline-food"
    )


def test_case_matters_where_the_entry_has_capitals() -> None:
    entries = Lexicon(
        {"us": "uhs", "US": "United States", "Polish": "Po-lish", "nginx": "engine x"}
    )
    assert _said(entries, "US us Us") == "United States uhs uhs"
    assert _said(entries, "polish Polish POLISH") == "polish Po-lish POLISH"
    assert _said(entries, "Nginx NGINX nginx") == "engine x engine x engine x"


def test_a_nearer_layer_is_over_the_others() -> None:
    request = Lexicon({"SQL": "sequel"})
    voice = Lexicon({"SQL": "S Q L", "GIF": "jif"})
    file = Lexicon({"sql": "squeal", "GIF": "gif", "SQL server": "the server"})
    assert _said(request.over(voice).over(file), "SQL sql GIF") == "sequel squeal jif"
    assert _said(request.over(voice).over(file), "an SQL server") == "an the server"
    nearest = Lexicon({"sql": "sequel"}).over(voice)
    assert _said(nearest, "SQL") == "sequel"
    assert len(request.over(voice)) == 3


def test_what_is_said_comes_from_what_was_written() -> None:
    text = Lexicon({"SQL": "sequel"}).apply(MappedText.of("my SQL is", first_char=10))
    shown = revealed(text)
    at = shown.text.index("sequel")
    assert shown.span(at, at + len("sequel")) == (13, 16)
    assert shown.span(0, 2) == (10, 12)


def test_characters_from_outside_do_not_become_protected_words() -> None:
    text = Lexicon({"a": "b"}).apply(without_private(MappedText.of("x\U000f0041\U000f0000 a")))
    assert revealed(text).text == "x b"
    assert "\x00" not in revealed(MappedText.of("\U000f0000")).text


def test_an_empty_lexicon_changes_nothing() -> None:
    assert _said(Lexicon({}), "As it is.") == "As it is."
    assert _said(Lexicon({" ": "x"}), "As it is.") == "As it is."


def test_an_entry_has_a_bound() -> None:
    for entries in ({"a" * 501: "b"}, {"a": "b" * 501}):
        with pytest.raises(LexiconError, match="more than 500 characters"):
            Lexicon(entries)


def test_a_file_of_words_comments_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_bytes("\ufeff# ours\n\nSQL\tsequel\r\n  café \t kaffay \nhush\t\n".encode())
    assert read_lexicon(path) == {"SQL": "sequel", "café": "kaffay", "hush": ""}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"SQL\tsequel\nGIF jif\n", "line 2: expected word<TAB>spelling"),
        (b"a\tb\tc\n", "line 1: expected word<TAB>spelling"),
        (b"\tb\n", "line 1: expected word<TAB>spelling"),
        (b"a\tb\nc\t\xff\n", "line 2: not UTF-8"),
        (b"a" * 501 + b"\tb", "line 1: a word or spelling of more than 500 characters"),
        (b"a\tb\nb\tc\nc\td\n", "line 3: more than 2 entries"),
        (b"#" * 3000, "larger than 2000 bytes"),
    ],
)
def test_an_error_names_the_file_and_the_line(
    content: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexicon_file, "MAX_ENTRIES", 2)
    monkeypatch.setattr(lexicon_file, "MAX_FILE_BYTES", 2000)
    path = tmp_path / "words.tsv"
    path.write_bytes(content)
    with pytest.raises(LexiconError) as caught:
        read_lexicon(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LexiconError, match=r"none\.tsv: No such file"):
        LexiconFile(tmp_path / "none.tsv")


def test_a_file_is_read_again_when_it_has_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "words.tsv"
    path.write_text("SQL\tsequel\n")
    file = LexiconFile(path)
    first = file.current()
    assert file.current() is first
    path.write_text("SQL\tsqueal\n")
    os.utime(path, ns=(1, 1))
    assert _said(file.current(), "SQL") == "squeal"
    # One that has become wrong, or has gone: the entries of before, and a warning once.
    path.write_text("SQL squeal\n")
    with caplog.at_level(logging.WARNING):
        assert _said(file.current(), "SQL") == "squeal"
        assert _said(file.current(), "SQL") == "squeal"
    assert [record.message for record in caplog.records] == [
        f"lexicon not reloaded: {path}, line 1: expected word<TAB>spelling"
    ]
    path.unlink()
    assert _said(file.current(), "SQL") == "squeal"
    path.write_text("SQL\tsequel again\n")
    assert _said(file.current(), "SQL") == "sequel again"


def test_a_hostile_text_takes_linear_time() -> None:
    entries = Lexicon({" ".join(["a"] * size): "x" for size in range(1, 40)} | {"b c": "y"})
    for text in ("a " * 10_000, "b " * 10_000, "!" * 20_000, "x" * 20_000):
        start = time.process_time()
        entries.apply(MappedText.of(text))
        assert time.process_time() - start < 1
