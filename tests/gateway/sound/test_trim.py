"""Silence at the ends of a turn: cut to what is allowed, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sound.trim import MAX_HELD_MS, LeadingTrim, Part, TrailingTrim
from tests.gateway.sound.speech import highest_jump, silence, tone

RATE = 24_000
WORD = tone(0.3)


def sound_of(parts: list[Part]) -> np.ndarray:
    return np.concatenate([p for p in parts if not isinstance(p, int)] or [np.zeros(0, np.float32)])


@pytest.mark.parametrize(("max_ms", "kept_ms"), [(0, 20), (50, 50), (300, 300), (2000, 1000)])
def test_silence_before_the_first_sound_is_cut(max_ms: int, kept_ms: int) -> None:
    """A soft beginning of 20 ms is left in any case."""
    trim = LeadingTrim(max_ms, RATE)
    made = np.concatenate([trim.feed(silence(1.0)), trim.feed(WORD), trim.feed(silence(0.5))])
    assert len(made) == round(RATE * (kept_ms / 1000 + 0.8))
    assert trim.num_cut == round(RATE * (1 - kept_ms / 1000))
    np.testing.assert_array_equal(made[-len(WORD) - RATE // 2 :][: len(WORD)], WORD)
    assert highest_jump(made) <= 1.1 * highest_jump(WORD)


def test_nothing_waits_once_sound_has_come() -> None:
    trim = LeadingTrim(100, RATE)
    assert len(trim.feed(WORD)) == len(WORD)
    assert len(trim.feed(silence(0.0333))) == round(RATE * 0.0333)


def test_a_turn_of_silence_keeps_what_is_allowed_at_its_beginning() -> None:
    trim = LeadingTrim(100, RATE)
    assert len(trim.feed(silence(3.0))) == RATE * 80 // 1000
    assert len(trim.flush()) == RATE * 20 // 1000
    assert trim.num_cut == round(RATE * 2.9)


@pytest.mark.parametrize("max_ms", [0, 100, 400])
def test_silence_behind_the_last_sound_is_cut_and_silence_between_is_not(max_ms: int) -> None:
    trim = TrailingTrim(max_ms, RATE)
    given = np.concatenate([WORD, silence(1.0), WORD, silence(1.0)])
    made = sound_of(trim.feed(given) + trim.finish())
    assert len(made) == round(RATE * (1.6 + max_ms / 1000))
    assert trim.num_cut == round(RATE * (1 - max_ms / 1000))
    body = len(made) - RATE // 200
    np.testing.assert_array_equal(made[:body], given[:body])
    assert highest_jump(made) <= highest_jump(given)


def test_less_silence_than_is_allowed_is_left_as_it_is() -> None:
    trim = TrailingTrim(500, RATE)
    given = np.concatenate([WORD, silence(0.2)])
    np.testing.assert_array_equal(sound_of(trim.feed(given) + trim.finish()), given)
    assert trim.num_cut == 0


def test_no_more_is_held_back_than_silence_beyond_what_is_allowed() -> None:
    trim = TrailingTrim(200, RATE)
    made = sound_of(trim.feed(np.concatenate([WORD, silence(1.0)])))
    assert len(made) >= len(WORD) + RATE * 180 // 1000


def test_a_pause_that_was_asked_for_stays_at_the_end_and_in_the_middle() -> None:
    trim = TrailingTrim(0, RATE)
    parts = trim.feed(np.concatenate([WORD, silence(0.1)])) + trim.put(700)
    parts += trim.feed(np.concatenate([WORD, silence(0.1)])) + trim.put(900) + trim.finish()
    pauses = [p for p in parts if isinstance(p, int)]
    assert pauses == [700, 900]
    assert len(sound_of(parts)) == round(RATE * 0.7)


def test_endless_silence_is_not_held() -> None:
    trim = TrailingTrim(0, RATE)
    parts = trim.feed(WORD)
    for _ in range(200):
        parts += trim.feed(silence(0.1))
        held = sum(len(p) for p in trim._held if not isinstance(p, int))
        assert held <= RATE * MAX_HELD_MS // 1000
    assert len(sound_of(parts)) >= RATE * 15


@given(st.lists(st.integers(1, 9000), max_size=10), st.sampled_from([0, 70, 400]))
@settings(max_examples=30, deadline=None)
def test_any_chunking_gives_the_same(sizes: list[int], max_ms: int) -> None:
    given = np.concatenate([silence(0.4), WORD, silence(0.5), WORD, silence(0.6)])

    def made(cuts: list[int]) -> np.ndarray:
        first, last = LeadingTrim(max_ms, RATE), TrailingTrim(max_ms, RATE)
        out: list[Part] = []
        for part in np.split(given, np.cumsum(cuts)):
            out += last.feed(first.feed(part))
        return sound_of(out + last.finish())

    np.testing.assert_array_equal(made(sizes), made([]))
