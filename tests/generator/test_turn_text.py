"""A text in parts: joined as they are, and never held beyond the limit."""

from __future__ import annotations

import tracemalloc

import pytest

from csm.errors import TooLong
from services.generator.turn_text import TurnText


def test_parts_are_joined_as_they_are_and_the_next_text_begins_empty() -> None:
    text = TurnText(10)
    for part in ("hel", "", "lo the"):
        text.append(part)
    assert text.take() == "hello the"
    assert text.take() == ""


def test_a_text_that_is_too_long_is_told_once_with_its_whole_length() -> None:
    text = TurnText(10)
    for part in ("hello ", "there", "x"):
        text.append(part)
    with pytest.raises(TooLong, match="12 characters; at most 10 are allowed"):
        text.take()
    text.append("short")
    assert text.take() == "short"


def test_nothing_of_a_text_that_is_too_long_is_kept() -> None:
    text = TurnText(1000)
    tracemalloc.start()
    for number in range(2000):
        text.append(f"{number:04}" * 250)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 20_000
