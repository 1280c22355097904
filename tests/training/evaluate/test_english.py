import pytest

from training.evaluate import english
from training.evaluate.words import Errors

pytest.importorskip("whisper_normalizer", reason="whisper-normalizer is missing")


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("It's twenty-five past, Dr. Smith!", "it is 25 past doctor smith"),
        ("The colour of the everyday.", "The color of the every day"),
        ("Call at 3:45.", "Call at 345."),
        ("Call at 3:45.", "Call at 3.45"),
    ],
)
def test_what_is_written_otherwise_is_no_error(written: str, heard: str) -> None:
    found = english.errors(written, heard)
    assert found.edits == 0
    assert found.words == len(english.words(written))


def test_wrong_words_are_counted() -> None:
    assert english.errors("The train was late again.", "The drain was again") == Errors(5, 1, 1, 0)
    assert english.errors("Hello there.", "") == Errors(2, 0, 2, 0)
