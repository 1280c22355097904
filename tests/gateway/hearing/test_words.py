"""Words that cannot be in a recording of that length."""

import pytest

from gateway.hearing.words import misfit

SENTENCE = "The quick brown fox jumps over the lazy dog, and then it goes home."


@pytest.mark.parametrize("seconds", [1.6, 3.0, 4.5, 9.0, 18.0])
def test_a_pace_that_people_speak_at_is_not_told(seconds: float) -> None:
    assert misfit(SENTENCE, seconds) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(SENTENCE, 1.0), (SENTENCE * 7, 1.0), (SENTENCE, 30.0), ("中" * 50, 2.0), ("No.", 10.0)],
)
def test_words_that_do_not_fit_are_told_without_the_words(text: str, seconds: float) -> None:
    wrong = misfit(text, seconds)
    assert wrong is not None
    assert f"its {len(text)} characters" in wrong
    assert f"{seconds:.1f} s" in wrong
    assert text[:10] not in wrong


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 5.0), ("...", 60.0), ("Yes.", 0.2), ("No.", 1.5), ("中" * 50, 10.0)]
)
def test_what_says_nothing_and_short_answers_are_left_alone(text: str, seconds: float) -> None:
    assert misfit(text, seconds) is None
