"""Written forms, short answers and dialogues."""

import functools
import random
import re

import pytest

from gateway.text.spoken import acronym_words, currencies, unit_names
from training.corpus.sentences import forms
from training.corpus.sentences.dialogues import dialogues, templates, turns
from training.corpus.sentences.exclusion import held_out, validation
from training.corpus.sentences.grammar import Grammar, GrammarError, grammar
from training.corpus.sentences.sentence import words
from training.corpus.sentences.written_figures import Deck, written_figures
from training.tokenizer import normalize


@functools.cache
def made() -> tuple[str, ...]:
    return tuple(sentence.text for sentence in forms.written_forms(0))


@functools.cache
def spoken() -> set[str]:
    return {word for text in made() for word in words(text)}


def test_groups_are_filled() -> None:
    text = (forms._FILE).read_text(encoding="utf-8")
    wanted = sum(count for count, _ in forms.sections(text))
    assert len(made()) == len(set(made())) == wanted
    assert tuple(s.text for s in forms.written_forms(0)) == made()
    assert tuple(s.text for s in forms.written_forms(1)) != made()


def test_every_unit_is_spoken() -> None:
    names = {
        word
        for symbol, (_, many) in unit_names.NAMES.items()
        if symbol not in unit_names.AMBIGUOUS
        for word in words(many)
    }
    assert names - spoken() == set()


def test_every_currency_is_spoken() -> None:
    for currency in (*currencies.SIGNS.values(), *currencies.CODES.values()):
        assert set(words(currency.many)) <= spoken(), currency


def test_every_acronym_is_written() -> None:
    written = {word for text in made() for word in re.findall(r"[A-Z0-9]+", text)}
    assert (acronym_words.SPELLED | acronym_words.SAID) - written == set()


def test_no_slot_hides_a_word_of_the_lexicon() -> None:
    assert not set(written_figures()) & set(grammar()._lexicon)


def test_no_digit_and_no_sign_is_left_when_it_is_spoken() -> None:
    for text in made():
        assert re.fullmatch(r"[a-z',.?! -]+", normalize(text)), text


def test_a_deck_deals_all_before_any_again() -> None:
    deck, draw = Deck("abcde"), random.Random(1)
    first = [deck.deal(draw) for _ in range(5)]
    second = [deck.deal(draw) for _ in range(5)]
    assert sorted(first) == sorted(second) == list("abcde")


@pytest.mark.parametrize(
    ("text", "message"), [("A.\n== 3\nB.", "before the first group"), ("== 3\n== 4\nB.", "of 3")]
)
def test_a_broken_file_of_forms_is_refused(text: str, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        forms.sections(text)


def test_short_answers_are_short_and_none_is_measured() -> None:
    texts = [sentence.text for sentence in forms.short_answers()]
    assert len(texts) > 150
    assert all(len(words(text)) <= 4 for text in texts)
    assert not {words(t) for t in texts} & {words(t) for t in (*held_out(), *validation())}


def test_rare_words_are_rare() -> None:
    first, *_ = forms.rare_words(3, 0)
    assert first.source == "rare"
    assert forms.rare_words(3, 0)[0] == first


def test_every_template_of_a_dialogue_has_two_to_four_turns() -> None:
    draw = random.Random(3)
    for template in templates():
        for _ in range(20):
            made = turns(template, draw, grammar())
            assert 2 <= len(made) <= 4, template
            for turn in made:
                assert re.fullmatch(r"[A-Z0-9'$€£].*[.?!]", turn), (template, turn)
                assert not set("{}|*()") & set(turn), turn


def test_a_starred_slot_has_one_value_in_a_dialogue() -> None:
    draw = random.Random(5)
    for _ in range(30):
        asked, told = turns("In {city*}? / Yes, {city*}, {city}.", draw, Grammar())
        assert told.split(", ")[1] == asked.removeprefix("In ").removesuffix("?")


def test_dialogues_differ_and_follow_from_the_seed() -> None:
    made = dialogues(100, 0)
    assert len(set(made)) == 100
    assert dialogues(100, 0) == made
    assert dialogues(100, 1) != made
