"""The grammars: every line makes fit sentences; a broken one is named."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from training.corpus.sentences.figures import FIGURES
from training.corpus.sentences.grammar import Grammar, GrammarError, grammar
from training.corpus.sentences.sentence import is_fit, words
from training.tokenizer import CHARACTERS, normalize


def _grammar(directory: Path, lexicon: str, lines: str) -> Grammar:
    (directory / "lexicon.txt").write_text(lexicon)
    (directory / "topic.txt").write_text(lines)
    return Grammar(directory)


def test_every_line_makes_fit_sentences() -> None:
    draw = random.Random(1)
    for line in grammar().lines:
        drawn = [grammar().expand(line.text, draw) for _ in range(6)]
        # A speaker's answer may be long now and then; most of each line's must be usable.
        assert sum(is_fit(text) and len(words(text)) <= 25 for text in drawn) >= 4, (line, drawn)
        for text in drawn:
            assert not set("{}|") & set(text), text
            assert text[0] == text[0].upper()
            assert set(normalize(text)) <= set(CHARACTERS + " ")


def test_choices_slots_and_articles(tmp_path: Path) -> None:
    made = _grammar(
        tmp_path, "# x\nfruit: apple | (ripe |)pear\nfruit: hour", "A {fruit}(, no|).\n"
    )
    found = {sentence.text for sentence in made.sentences(8, 0)}
    assert found == {
        f"{noun}{end}"
        for noun in ("An apple", "A pear", "A ripe pear", "An hour")
        for end in (".", ", no.")
    }
    assert {sentence.source for sentence in made.sentences(8, 0)} == {"own-topic"}
    assert made.variants("A {fruit}(, no|).") == 8


@pytest.mark.parametrize(
    ("lexicon", "lines", "message"),
    [
        ("a: b", "The {dog}.", "no slot 'dog'"),
        ("a: b", "The (a|b.", "brackets do not match"),
        ("a: b", "The {a.", "brackets do not match"),
        ("a: {b}\nb: {a}", "The {a}.", "never end"),
        ("just words", "The end.", "no colon"),
    ],
)
def test_a_broken_grammar_is_named(tmp_path: Path, lexicon: str, lines: str, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        _grammar(tmp_path, lexicon, lines)


def test_the_same_seed_draws_the_same() -> None:
    assert grammar().sentences(300, 7) == grammar().sentences(300, 7)
    assert grammar().sentences(300, 7) != grammar().sentences(300, 8)


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_figures_are_read_in_words(name: str) -> None:
    draw = random.Random(3)
    for _ in range(150):
        written = FIGURES[name](draw)
        spoken = normalize(f"So {written} it is.")
        assert spoken.startswith("so ")
        assert spoken.endswith(" it is.")
        assert not any(character.isdigit() for character in spoken)


def test_kinds_of_writing_are_there() -> None:
    text = "\n".join(sentence.text for sentence in grammar().sentences(6000, 2))
    for sign in ("$", "%", ":", "p.m.", "\u20ac", "th ", ", 2", "555-", "Dr. ", "#", "&", "?", "!"):
        assert sign in text, sign
    for word in ("Hello", "Yes", "Thank you", "tomorrow", "Sure, "):
        assert word in text, word
