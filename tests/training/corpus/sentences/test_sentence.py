"""What is fit to be read, and how running text falls into sentences."""

from __future__ import annotations

import re

import pytest

from training.corpus.sentences.grammar import grammar
from training.corpus.sentences.sentence import (
    is_fit,
    is_plain,
    is_pronounceable,
    is_sentence,
    split,
    tidy,
    words,
)
from training.tokenizer import normalize


def test_splits_at_ends_and_not_at_abbreviations() -> None:
    text = 'Mr. Brown left.  "Why?" asked\nDr. Ray. He paid $3.50 for it! J. Smith did not.'
    assert split(text) == [
        "Mr. Brown left.",
        "Why? asked Dr. Ray.",
        "He paid $3.50 for it!",
        "J. Smith did not.",
    ]


def test_tidies_quotes_dashes_and_space() -> None:
    assert tidy(" \u201cWell\u201d --  it\u2019s  late , no ?") == "Well, it's late, no?"
    assert tidy("Nothing to do here.") == "Nothing to do here."


@pytest.mark.parametrize("text", ["", "...", "one (two", "word " * 60, "He is a bastard."])
def test_unfit(text: str) -> None:
    assert not is_fit(text)


@pytest.mark.parametrize(
    "text",
    [
        "See <planet> now.",
        "An {open} brace.",
        "A list: [1]",
        "Mail me@home.org.",
        "STOPPING here.",
        "caf\u00e9",
        "What?! No.",
        "A room, n.: a place.",
    ],
)
def test_not_plain(text: str) -> None:
    assert not is_plain(text)


@pytest.mark.parametrize(
    "text", ["Yes.", "It's $5.", "The arsenal is lustrous.", "A (small) one.", "Read B-C-D."]
)
def test_fit(text: str) -> None:
    assert is_fit(text)
    assert is_plain(text)


def test_a_sentence_starts_and_ends_like_one() -> None:
    assert is_sentence("So it was.")
    assert not is_sentence("so it was.")
    assert not is_sentence("So it was")


def test_rows_of_consonants_cannot_be_read() -> None:
    assert is_pronounceable(("my", "tv", "d's"))
    assert not is_pronounceable(("run", "fsck"))


def test_the_short_way_to_words_finds_what_the_normalizer_finds() -> None:
    plain = [sentence.text for sentence in grammar().sentences(1500, 5)]
    plain += ["Ok.", "Mr Ray, etc, vs us.", "We're I, a. b", "A TV's on.", "Don't", "NASA knows."]
    for text in plain:
        assert words(text) == tuple(re.findall(r"[a-z]+(?:'[a-z]+)*", normalize(text))), text
