import random

import pytest

from training.evaluate.words import Errors, count_errors, difference, total, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It costs $42.50, doesn't it?", "it costs forty two dollars and fifty cents doesn't it"),
        ("The well-known Dr. Smith", "the well known doctor smith"),
        ("rock 'n' roll", "rock n roll"),
        ("Was I a fool?", "was i a fool"),
        ("", ""),
    ],
)
def test_words_are_spelled_out_and_bare(text: str, words: str) -> None:
    assert words_of(text) == words.split()


@pytest.mark.parametrize("heard", ["at three pm", "at three p m", "at three p. m.", "At 3 P.M."])
def test_letters_count_the_same_however_a_dictionary_joins_them(heard: str) -> None:
    assert words_of(heard) == words_of("At 3 p.m.")


def test_the_morning_is_one_word_and_the_article_another() -> None:
    assert words_of("At 9 a.m. I called.") == ["at", "nine", "am", "i", "called"]
    assert words_of("i have a b") == ["i", "have", "a", "b"]


@pytest.mark.parametrize(
    ("written", "heard", "substituted", "deleted", "inserted"),
    [
        ("a b c", "a b c", 0, 0, 0),
        ("a b c", "a x c", 1, 0, 0),
        ("a b c", "a c", 0, 1, 0),
        ("a b c", "a b b c", 0, 0, 1),
        ("a b c", "", 0, 3, 0),
        ("", "a b", 0, 0, 2),
        ("the cat sat", "a cat sat down", 1, 0, 1),
    ],
)
def test_each_kind_of_edit_is_counted(
    written: str, heard: str, substituted: int, deleted: int, inserted: int
) -> None:
    found = count_errors(written.split(), heard.split())
    assert found == Errors(len(written.split()), substituted, deleted, inserted)


def _distance(a: list[str], b: list[str]) -> int:
    """Levenshtein's recursion as it is defined."""
    if not a or not b:
        return len(a) + len(b)
    cut = _distance(a[:-1], b[:-1]) + (a[-1] != b[-1])
    return min(cut, _distance(a[:-1], b) + 1, _distance(a, b[:-1]) + 1)


def test_no_fewer_edits_would_do() -> None:
    draw = random.Random(1)
    for _ in range(60):
        a, b = ([draw.choice("xyz") for _ in range(draw.randrange(6))] for _ in range(2))
        found = count_errors(a, b)
        assert found.edits == _distance(a, b)
        assert len(a) - found.deleted + found.inserted == len(b)


def test_long_sentences_weigh_more_in_the_total() -> None:
    errors = [count_errors(["a"], ["b"]), count_errors(list("abcdefghi"), list("abcdefghi"))]
    assert total(errors).rate == pytest.approx(0.1)


def test_the_difference_of_rates_comes_with_an_interval_around_it() -> None:
    draw = random.Random(2)
    theirs = [Errors(10, draw.randrange(3)) for _ in range(200)]
    ours = [Errors(10, one.substituted + draw.randrange(3)) for one in theirs]
    found = difference(ours, theirs)
    assert found.value == pytest.approx(total(ours).rate - total(theirs).rate)
    assert found.low < found.value < found.high
    # The standard error of 200 draws from {0, 0.1, 0.2} is 0.0058.
    assert found.high - found.low == pytest.approx(4 * 0.0058, rel=0.25)
    assert difference(ours, theirs) == found


def test_equal_readings_differ_by_nothing() -> None:
    same = [Errors(5, 1), Errors(7, 0, 2)]
    assert difference(same, same).high == 0


def test_readings_of_other_sentences_are_refused() -> None:
    with pytest.raises(ValueError, match=r"theirs: 1 .* must be 2"):
        difference([Errors(1), Errors(1)], [Errors(1)])
    with pytest.raises(ValueError, match="0 words"):
        difference([Errors(0)], [Errors(0)])
