"""The words of a sentence and where they are in the caller's text."""

import pytest

from gateway.marks.words import Word, words_of
from gateway.text.front_end import FrontEnd
from gateway.text.lexicon import Lexicon
from gateway.text.limits import Limits
from gateway.text.options import TextRules
from gateway.text.voicing import Voicing


def words(text: str, max_chars: int = 200, rules: TextRules | None = None) -> list[Word]:
    front_end = FrontEnd(rules or TextRules(), Voicing.alone(Lexicon({}), Limits(max_chars)))
    return [word for sentence in front_end.whole(text) for word in words_of(sentence)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there.", ["Hello", "there"]),
        ("Yes", ["Yes"]),
        ("In 2026 it cost $3.50!", ["In", "2026", "it", "cost", "$3.50"]),
        ("A **bold** move 😀.", ["A", "bold", "move"]),
        ("<b>Mr.</b> O'Neil, well-known.", ["Mr.", "O'Neil", "well-known"]),
        ("你好。", ["你", "好"]),
        ("Café; oui.", ["Café", "oui"]),
        ("😀", []),
        ("...", []),
    ],
)
def test_words_are_those_of_the_text_as_written(text: str, expected: list[str]) -> None:
    found = words(text)
    assert [word.written for word in found] == expected
    assert [text[word.first_char : word.end_char] for word in found] == expected


def test_a_number_takes_as_long_as_the_words_it_is_read_as() -> None:
    (number,) = words("2026")
    assert number.expected_ms > 2 * max(word.expected_ms for word in words("I saw."))
    spelled = sum(word.expected_ms for word in words("twenty twenty six"))
    assert number.expected_ms == spelled


def test_a_mark_lets_a_pause_be_expected() -> None:
    found = words('He came, "saw", went on')
    assert [word.written for word in found if word.pause] == ["came", "saw"]


def test_the_longest_text_has_its_words_in_order_and_within_it() -> None:
    text = ("The year 1999, see https://example.com/a, cost €5 (or so). " * 80)[:4096]
    found = words(text)
    assert len(found) > 600
    at = 0
    for word in found:
        assert at <= word.first_char <= word.end_char <= len(text)
        assert word.expected_ms >= 1
        at = word.end_char


def test_text_without_spaces_is_parted() -> None:
    assert [word.written for word in words("x" * 40)] == ["x" * 8] * 5


def test_digits_that_are_not_put_into_words_take_their_time() -> None:
    (number,) = words("2026", rules=TextRules(normalize=False))
    assert number.expected_ms > 800
