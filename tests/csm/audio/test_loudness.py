"""Loudness against the standard's own figure, and against pyloudnorm on speech."""

import numpy as np
import pytest

from csm.audio.loudness import SILENCE_LUFS, HopPowers, joined_lufs, loudness_lufs
from tests.gateway.sound.speech import SAMPLES, silence, speech

RATES_HZ = (8000, 16_000, 24_000, 44_100, 48_000)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_sine_of_full_scale_is_at_minus_three(rate_hz: int) -> None:
    at = np.arange(3 * rate_hz) / rate_hz
    sine = np.sin(2 * np.pi * 997 * at).astype(np.float32)
    assert loudness_lufs(sine, rate_hz) == pytest.approx(-3.01, abs=0.06)
    assert loudness_lufs(sine / 10, rate_hz) == pytest.approx(-23.01, abs=0.06)


@pytest.mark.parametrize("name", sorted(p.name for p in SAMPLES.iterdir() if p.is_file()))
def test_speech_is_as_loud_as_pyloudnorm_says(name: str) -> None:
    pyloudnorm = pytest.importorskip("pyloudnorm")
    samples, rate_hz = speech(name)
    theirs = pyloudnorm.Meter(rate_hz).integrated_loudness(samples.astype(np.float64))
    assert loudness_lufs(samples, rate_hz) == pytest.approx(theirs, abs=0.2)


def test_silence_between_words_does_not_count() -> None:
    samples, rate_hz = speech()
    alone = loudness_lufs(samples, rate_hz)
    parted = np.concatenate([samples, silence(5, rate_hz), samples])
    assert loudness_lufs(parted, rate_hz) == pytest.approx(alone, abs=0.3)


def test_silence_has_the_loudness_of_the_gate() -> None:
    assert loudness_lufs(np.zeros(24_000, np.float32), 24_000) == SILENCE_LUFS
    assert loudness_lufs(np.zeros(0, np.float32), 24_000) == SILENCE_LUFS


def test_chunks_are_cut_anywhere() -> None:
    samples, rate_hz = speech()
    hops, cut = HopPowers(rate_hz), []
    for begin in range(0, len(samples), 777):
        cut += hops.feed(samples[begin : begin + 777])
    assert cut == pytest.approx(HopPowers(rate_hz).feed(samples))


def test_recordings_are_as_loud_together_as_one_behind_the_other() -> None:
    samples, rate_hz = speech()
    parts = [samples, samples / 2, silence(3, rate_hz), samples[: rate_hz * 2] / 5]
    measured = [(loudness_lufs(part, rate_hz), len(part) / rate_hz) for part in parts]
    whole = loudness_lufs(np.concatenate(parts), rate_hz)
    assert joined_lufs(measured) == pytest.approx(whole, abs=0.5)
    assert joined_lufs(measured[:1]) == pytest.approx(measured[0][0])


def test_recordings_without_sound_have_the_loudness_of_silence() -> None:
    assert joined_lufs([]) == SILENCE_LUFS
    assert joined_lufs([(SILENCE_LUFS, 5.0), (-20.0, 0.0)]) == SILENCE_LUFS
