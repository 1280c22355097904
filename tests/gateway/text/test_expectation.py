"""How long a text takes to say."""

import pytest

from gateway.text.expectation import expected_ms, expected_s


def test_digits_take_longer_than_letters() -> None:
    assert expected_s("1984") > 3 * expected_s("year")
    assert expected_s("a b") == pytest.approx(3 / 14)


def test_a_character_that_is_a_syllable_takes_its_time() -> None:
    assert expected_s("中文") > 2 * expected_s("ab")


def test_a_sentence_takes_a_little_more_than_its_letters_and_nothing_takes_none() -> None:
    assert expected_ms("a" * 14) == 1200
    assert expected_ms("") == 0
