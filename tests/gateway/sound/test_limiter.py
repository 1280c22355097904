"""The limiter: nothing beyond its ceiling, nothing else changed, no jump."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sound.limiter import AHEAD_MS, CEILING, Limiter
from tests.gateway.sound.speech import highest_jump, speech


def limited(samples: np.ndarray, rate_hz: int, sizes: list[int] | None = None) -> np.ndarray:
    limiter = Limiter(rate_hz)
    parts = [limiter.feed(part) for part in np.split(samples, np.cumsum(sizes or []))]
    return np.concatenate([*parts, limiter.flush()])


def test_quiet_sound_passes_as_it_is() -> None:
    samples, rate_hz = speech()
    np.testing.assert_array_equal(limited(samples, rate_hz), samples)


@pytest.mark.parametrize("factor", [5, 20, 100])
def test_loud_sound_stays_below_the_ceiling_without_a_jump(factor: int) -> None:
    samples, rate_hz = speech()
    made = limited(samples * factor, rate_hz)
    assert len(made) == len(samples)
    assert np.abs(made).max() <= CEILING + 1e-6
    assert highest_jump(made) <= highest_jump(samples * factor)


def test_one_peak_is_let_down_to_and_the_rest_comes_back() -> None:
    samples = np.full(24_000, 0.5, np.float32)
    samples[12_000] = 2.0
    made = limited(samples, 24_000)
    assert made[12_000] == pytest.approx(CEILING, abs=1e-4)
    assert (made[:11_800] == 0.5).all()
    assert (made[13_000:] == 0.5).all()
    # The gain moves over 5 ms, not from one sample to the next.
    assert np.abs(np.diff(np.delete(made, 12_000))).max() < 0.5 / (24 * AHEAD_MS) * 1.2


@given(st.lists(st.integers(0, 4000), max_size=10))
@settings(max_examples=30, deadline=None)
def test_any_chunking_gives_the_same(sizes: list[int]) -> None:
    samples, rate_hz = speech()
    samples = samples[:30_000] * 12
    np.testing.assert_allclose(
        limited(samples, rate_hz, sizes), limited(samples, rate_hz), atol=1e-6
    )


def test_a_sound_shorter_than_the_look_ahead_comes_out_whole() -> None:
    assert len(limited(np.full(10, 3.0, np.float32), 24_000)) == 10
