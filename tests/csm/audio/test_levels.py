"""Loudness against what BS.1770 and EBU Tech 3341 say of tones, and levels."""

import numpy as np
import pytest

from csm.audio.levels import LOWEST_DBFS, NO_LOUDNESS_LUFS, levels_of
from csm.audio.loudness import loudness_lufs
from csm.audio.pcm import Samples


def tone(dbfs: float, seconds: float, rate_hz: int = 48_000, hz: float = 997.0) -> Samples:
    """A sine whose peak is at that level."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 44_100, 48_000])
def test_a_tone_of_997_hz_at_full_scale_has_minus_3_lufs(rate_hz: int) -> None:
    assert loudness_lufs(tone(0.0, 3, rate_hz), rate_hz) == pytest.approx(-3.01, abs=0.05)


def test_quiet_parts_do_not_count_by_the_relative_gate() -> None:
    # EBU Tech 3341, case 3, of one channel: 10 s at -36, 60 s at -23, 10 s at -36 dBFS.
    parts = [tone(-36, 10), tone(-23, 60), tone(-36, 10)]
    assert loudness_lufs(np.concatenate(parts), 48_000) == pytest.approx(-23 - 3.01, abs=0.1)


def test_the_weighting_takes_off_lows_and_lifts_highs() -> None:
    low, high = (loudness_lufs(tone(-20, 3, hz=hz), 48_000) for hz in (30.0, 10_000.0))
    assert low < -30
    assert high == pytest.approx(-20 - 3.01 - 0.69 + 4.0, abs=0.2)


def test_silence_and_what_is_too_short_have_no_loudness() -> None:
    silent = levels_of(np.zeros(48_000, np.float32), 24_000)
    assert (silent.loudness_lufs, silent.peak_dbfs) == (NO_LOUDNESS_LUFS, LOWEST_DBFS)
    assert silent.noise_dbfs == LOWEST_DBFS
    assert levels_of(tone(0, 0.3), 48_000).loudness_lufs == NO_LOUDNESS_LUFS
    assert levels_of(np.zeros(0, np.float32), 24_000).peak_dbfs == LOWEST_DBFS


def test_noise_is_the_level_between_the_words() -> None:
    rng = np.random.default_rng(1)
    words = np.concatenate([tone(-12, 1, 24_000), np.zeros(6_000, np.float32)] * 3)
    noisy = words + rng.normal(0, 10 ** (-50 / 20), len(words)).astype(np.float32)
    measured = levels_of(noisy.astype(np.float32), 24_000)
    assert measured.noise_dbfs == pytest.approx(-50, abs=1)
    assert measured.peak_dbfs == pytest.approx(-12, abs=0.5)
