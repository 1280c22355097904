"""Another pace: as long as asked, the same pitch, the same whatever the chunks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sound.speed import SpeedChange
from tests.gateway.sound.speech import highest_jump, pitches, silence, speech, tone

SPEEDS = (0.5, 0.75, 0.9, 1.25, 1.5, 2.0)


def changed(samples: np.ndarray, speed: float, rate_hz: int) -> np.ndarray:
    change = SpeedChange(speed, rate_hz)
    return np.concatenate([change.feed(samples), change.flush()])


@pytest.mark.parametrize("speed", SPEEDS)
def test_speech_is_as_long_as_asked_at_the_same_pitch(speed: float) -> None:
    samples, rate_hz = speech()
    made = changed(samples, speed, rate_hz)
    assert len(made) == round(len(samples) / speed)
    before, after = pitches(samples, rate_hz), pitches(made, rate_hz)
    # As much of it is voiced, and the voice is as high: quartiles within a quarter tone.
    assert len(after) * speed == pytest.approx(len(before), rel=0.15)
    quarters = [25, 50, 75]
    ratios = np.percentile(after, quarters) / np.percentile(before, quarters)
    assert np.abs(np.log2(ratios)).max() < 1 / 24


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_tone_stays_that_tone_without_a_jump(speed: float) -> None:
    made = changed(tone(1.0), speed, 24_000)
    assert np.median(pitches(made, 24_000)) == pytest.approx(200, rel=0.01)
    assert highest_jump(made) <= 1.5 * highest_jump(tone(1.0))
    assert np.abs(made).max() <= 0.3001


@given(st.lists(st.integers(0, 5000), max_size=12), st.sampled_from(SPEEDS))
@settings(max_examples=20, deadline=None)
def test_any_chunking_gives_the_same(sizes: list[int], speed: float) -> None:
    samples, rate_hz = speech()
    samples = samples[:20_000]
    whole = changed(samples, speed, rate_hz)
    change, made, at = SpeedChange(speed, rate_hz), [], 0
    for size in [*sizes, len(samples)]:
        made.append(change.feed(samples[at : at + size]))
        at += size
    made.append(change.flush())
    np.testing.assert_array_equal(np.concatenate(made), whole)


@pytest.mark.parametrize("speed", SPEEDS)
def test_the_first_frame_gives_sound_at_once(speed: float) -> None:
    samples, rate_hz = speech()
    first = SpeedChange(speed, rate_hz).feed(samples[: rate_hz * 80 // 1000])
    # All but some 30 ms of it.
    assert len(first) >= rate_hz * 48 // 1000 / speed


@pytest.mark.parametrize("num_samples", [0, 1, 7, 100, 500])
@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_short_sounds_and_silence_come_through(num_samples: int, speed: float) -> None:
    assert len(changed(np.zeros(num_samples, np.float32), speed, 8000)) == round(
        num_samples / speed
    )
    assert np.isfinite(changed(silence(0.1)[:num_samples], speed, 8000)).all()


def test_what_follows_a_flush_begins_anew() -> None:
    samples, rate_hz = speech()
    change = SpeedChange(1.5, rate_hz)
    first = np.concatenate([change.feed(samples), change.flush()])
    second = np.concatenate([change.feed(samples), change.flush()])
    np.testing.assert_array_equal(first, second)


def test_an_hour_takes_no_more_memory_than_a_second() -> None:
    change = SpeedChange(0.5, 24_000)
    for _ in range(200):
        change.feed(silence(0.08))
    assert len(change._input) < 24_000 // 2
