"""Where words are in a sound."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.marks.loudness import HOP_MS
from gateway.marks.placing import Placed, SentenceSound, placed
from gateway.marks.words import Word

LOUD, QUIET = 70, 20


def some(*expected_ms: int, pause: int = -1) -> list[Word]:
    """Words that are expected to take so long; a pause is expected behind one of them."""
    return [Word(i, i + 1, "w", i + 1, ms, i == pause) for i, ms in enumerate(expected_ms)]


def sound(*runs: tuple[int, int], length_ms: float | None = None) -> SentenceSound:
    """(level, milliseconds) one after another."""
    levels = np.concatenate([np.full(ms // HOP_MS, level, np.uint8) for level, ms in runs])
    return SentenceSound(levels, LOUD, length_ms)


def test_words_share_the_time_between_the_silences_at_the_ends() -> None:
    heard = sound((QUIET, 200), (LOUD, 900), (QUIET, 300), length_ms=1400)
    assert placed(some(100, 200), heard, 1.0) == [Placed(200, 500), Placed(500, 1100)]


@pytest.mark.parametrize("pause", [0, 1])
def test_a_silence_is_where_a_mark_lets_it_be_expected(pause: int) -> None:
    heard = sound((LOUD, 400), (QUIET, 300), (LOUD, 500), length_ms=1200)
    times = placed(some(300, 300, 300, pause=pause), heard, 1.0)
    assert times[pause].end_ms == 400
    assert times[pause + 1].start_ms == 700


def test_a_short_silence_within_a_word_parts_nothing() -> None:
    heard = sound((LOUD, 300), (QUIET, 90), (LOUD, 210), length_ms=600)
    assert placed(some(100, 100), heard, 1.0)[1] == Placed(300, 600)


def test_while_the_end_is_unknown_the_pace_is_that_of_the_voice() -> None:
    heard = sound((QUIET, 100), (LOUD, 160))
    assert placed(some(200, 200), heard, 1.5)[1] == Placed(400, 700)


def test_no_word_begins_while_there_is_only_silence() -> None:
    heard = sound((QUIET, 400))
    assert placed(some(200), heard, 1.0)[0].start_ms == 400


def test_without_sound_the_length_is_shared_out() -> None:
    nobody = SentenceSound(np.zeros(0, np.uint8), 0.0, 800)
    assert placed(some(100, 300), nobody, 1.0) == [Placed(0, 200), Placed(200, 800)]


@given(
    st.lists(st.integers(1, 2000), max_size=30),
    st.lists(st.tuples(st.sampled_from((LOUD, QUIET, 0)), st.integers(0, 900)), max_size=12),
    st.booleans(),
    st.integers(0, 3000),
)
def test_words_are_in_order_whatever_is_heard(
    expected: list[int], runs: list[tuple[int, int]], known: bool, more_ms: int
) -> None:
    heard = sound((LOUD, 0), *runs)
    length_ms = len(heard.levels) * HOP_MS + more_ms if known else None
    times = placed(some(*expected), SentenceSound(heard.levels, LOUD, length_ms), 1.0)
    assert len(times) == len(expected)
    assert all(0 <= time.start_ms <= time.end_ms for time in times)
    assert all(a.end_ms <= b.start_ms + 1e-6 for a, b in itertools.pairwise(times))
