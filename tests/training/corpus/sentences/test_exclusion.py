"""The measured sentences, and that nothing of them is trained on."""

from __future__ import annotations

from training.corpus.sentences.exclusion import Exclusion, held_out, measured, validation
from training.corpus.sentences.sentence import words
from training.tokenizer import CHARACTERS, normalize


def test_counts_and_mix() -> None:
    sentences = held_out()
    lengths = [len(words(sentence)) for sentence in sentences]
    assert len(sentences) == len({words(sentence) for sentence in sentences}) == 200
    assert len(validation()) == 60
    assert sum(sentence.endswith("?") for sentence in sentences) >= 20
    assert sum(any(character.isdigit() for character in text) for text in sentences) >= 20
    assert sum(length <= 3 for length in lengths) >= 10
    assert sum(15 <= length <= 25 for length in lengths) >= 20
    assert max(lengths) <= 25
    assert sum(4 <= length <= 14 for length in lengths) >= 140
    for sentence in (*sentences, *validation()):
        assert set(normalize(sentence)) <= set(CHARACTERS + " ")


def test_the_two_lists_share_nothing() -> None:
    assert not any(Exclusion(held_out()).leaks(words(sentence)) for sentence in validation())


def test_wording_counts_and_not_spelling() -> None:
    exclusion = Exclusion(["My 2 dogs ran home at 7:30, and then they slept all day."])
    assert exclusion.leaks(
        words("MY two dogs ran home at seven thirty and then they slept all day")
    )
    assert exclusion.leaks(words("He says two dogs ran home at 7:30 and then left."))
    assert not exclusion.leaks(words("He says two dogs ran home at seven and then left."))
    assert Exclusion(["Not really."]).leaks(words("not really!"))
    assert not Exclusion(["Not really."]).leaks(words("Not really now."))


def test_each_measured_sentence_leaks() -> None:
    for sentence in (*held_out(), *validation()):
        assert measured().leaks(words(sentence.upper() if sentence.isascii() else sentence)) or (
            words(sentence.upper()) != words(sentence)
        )
        assert measured().leaks(words(sentence))
