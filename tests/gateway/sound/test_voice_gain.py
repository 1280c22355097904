"""A gain for each voice: fixed where its recordings are known, learned slowly where not."""

import numpy as np
import pytest

from csm.audio.loudness import loudness_lufs
from gateway.sound.voice_gain import MAX_GAIN_DB, Gain, VoiceGain
from tests.gateway.sound.speech import silence, speech


def said(gain: VoiceGain, samples: np.ndarray, rate_hz: int, size: int = 1920) -> np.ndarray:
    turn = Gain(gain, rate_hz)
    return np.concatenate(
        [turn.feed(samples[at : at + size]) for at in range(0, len(samples), size)]
    )


def test_a_known_voice_has_one_gain_from_its_first_sample_on() -> None:
    samples, rate_hz = speech()
    gain = VoiceGain(-20.0, -26.0)
    factor = np.float32(10 ** (6 / 20))
    for _ in range(2):
        np.testing.assert_allclose(said(gain, samples, rate_hz), samples * factor, rtol=1e-6)


def test_gain_has_bounds() -> None:
    assert VoiceGain(-20.0, -50.0).wanted_db == MAX_GAIN_DB
    assert VoiceGain(-20.0, -1.0).wanted_db == -MAX_GAIN_DB


def test_an_unknown_voice_is_learned_in_its_turns_and_then_stays() -> None:
    samples, rate_hz = speech()
    gain = VoiceGain(-20.0)
    turns = [said(gain, samples, rate_hz) for _ in range(6)]
    assert gain.settled
    for later in turns[1:]:
        assert loudness_lufs(later, rate_hz) == pytest.approx(-20.0, abs=0.5)
    np.testing.assert_array_equal(turns[-1], said(gain, samples, rate_hz))


def test_the_gain_never_moves_faster_than_three_db_a_second() -> None:
    samples, rate_hz = speech()
    turn = Gain(gain := VoiceGain(-10.0), rate_hz)
    made = np.concatenate([turn.feed(samples[at : at + 500]) for at in range(0, len(samples), 500)])
    heard = np.abs(samples) > 0.01
    gains_db = 20 * np.log10(made[heard] / samples[heard])
    at_s = np.flatnonzero(heard) / rate_hz
    assert gains_db.max() > 2.0
    rise = np.diff(gains_db[::200]) / np.diff(at_s[::200])
    assert rise.max() < 3.1
    assert rise.min() > -0.1
    assert gain.wanted_db == MAX_GAIN_DB


def test_chunks_are_cut_anywhere() -> None:
    samples, rate_hz = speech()
    whole = said(VoiceGain(-20.0), samples, rate_hz, len(samples))
    np.testing.assert_allclose(said(VoiceGain(-20.0), samples, rate_hz, 777), whole, atol=1e-7)


def test_silence_teaches_nothing() -> None:
    gain = VoiceGain(-20.0)
    for _ in range(20):
        said(gain, np.zeros(240_000, np.float32), 24_000)
    assert (gain.wanted_db, gain.settled) == (0.0, False)
    assert len(gain._blocks) <= 400
    said(gain, silence(1.0), 24_000)
    assert gain.wanted_db >= 0
