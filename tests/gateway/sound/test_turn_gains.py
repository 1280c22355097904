"""The gains of several voices in one turn: each from its own sample on, and no step is heard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csm.audio.loudness import loudness_lufs
from gateway.sound.chain import Chain, Item, Pausing, Sounding
from gateway.sound.options import Processing
from gateway.sound.trim import OtherVoice, TrailingTrim
from gateway.sound.turn_gains import RAMP_MS, TurnGains
from gateway.sound.voice_gain import VoiceGain
from tests.gateway.sound.speech import click, highest_jump, silence, speech, tone

RATE = 24_000
RAMP = round(RATE * RAMP_MS / 1000)
LOUD, SOFT = VoiceGain(-20.0, -10.0), VoiceGain(-20.0, -30.0)
"""-10 dB and 10 dB."""


def gain_db(made: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return 20 * np.log10(made / samples)


def test_each_voice_has_its_gain_from_its_first_sample_on() -> None:
    ones = np.full(RATE, 0.01, np.float32)
    gains = TurnGains(LOUD, RATE)
    first = gain_db(gains.feed(ones), ones)
    gains.change(SOFT)
    second = gain_db(gains.feed(ones), ones)
    gains.change(None)
    third = gain_db(gains.feed(ones), ones)
    np.testing.assert_allclose(first, -10, atol=1e-3)
    np.testing.assert_allclose(second[RAMP:], 10, atol=1e-3)
    np.testing.assert_allclose(third[RAMP:], 0, atol=1e-3)
    # Between them it moves evenly: 20 dB in 10 ms.
    rise = np.diff(np.concatenate([first, second, third]))
    assert np.abs(rise).max() == pytest.approx(20 / RAMP, rel=0.02)


def test_behind_a_pause_and_at_the_beginning_nothing_is_gone_through() -> None:
    ones = np.full(RATE // 10, 0.01, np.float32)
    gains = TurnGains(LOUD, RATE)
    gains.change(SOFT)
    np.testing.assert_allclose(gain_db(gains.feed(ones), ones), 10, atol=1e-3)
    gains.pause()
    gains.change(LOUD)
    np.testing.assert_allclose(gain_db(gains.feed(ones), ones), -10, atol=1e-3)


def test_another_voice_may_begin_before_the_one_before_is_all_there() -> None:
    """Sentences shorter than a ramp."""
    ones = np.full(RATE // 10, 0.01, np.float32)
    gains = TurnGains(None, RATE)
    parts = [gains.feed(ones)]
    for gain in (SOFT, LOUD, SOFT, None):
        gains.change(gain)
        parts.append(gains.feed(ones[:50]))
    parts.append(gains.feed(ones))
    steps = np.abs(np.diff(20 * np.log10(np.concatenate(parts) / 0.01)))
    assert steps.max() <= 1.02 * 20 / RAMP


def test_an_unknown_voice_goes_on_learning_where_it_left_off() -> None:
    samples, rate_hz = speech()
    learned, known = VoiceGain(-20.0), VoiceGain(-20.0, -26.0)
    gains = TurnGains(learned, rate_hz)
    for _ in range(5):
        gains.change(learned)
        gains.feed(samples)
        gains.change(known)
        np.testing.assert_allclose(
            gains.feed(samples)[RAMP:], samples[RAMP:] * np.float32(10**0.3), rtol=1e-5
        )
    assert learned.settled
    gains.change(learned)
    assert loudness_lufs(gains.feed(samples), rate_hz) == pytest.approx(-20.0, abs=0.5)


@given(st.integers(1, 5000))
@settings(max_examples=10, deadline=None)
def test_any_chunking_gives_the_same(size: int) -> None:
    samples, rate_hz = speech()
    samples = samples[20_000:34_000]

    def made(size: int) -> np.ndarray:
        gains, parts = TurnGains(VoiceGain(-20.0), rate_hz), []
        for gain, part in zip((None, SOFT, LOUD), np.split(samples, [5000, 5100]), strict=True):
            gains.change(gain)
            parts += [gains.feed(part[at : at + size]) for at in range(0, len(part), size)]
        return np.concatenate(parts)

    np.testing.assert_allclose(made(size), made(len(samples)), atol=1e-6)


def test_another_voice_keeps_its_place_in_silence_that_is_held_back() -> None:
    trim, other = TrailingTrim(100, RATE), OtherVoice(SOFT)
    assert sum(len(part) for part in trim.feed(tone(0.2))) == 0.2 * RATE  # type: ignore[arg-type]
    passed = trim.feed(silence(0.3))
    assert sum(len(part) for part in passed) == 0.09 * RATE  # type: ignore[arg-type]
    assert trim.put(other) == []
    trim.feed(silence(0.1))
    parts = trim.feed(tone(0.1))
    at = next(i for i, part in enumerate(parts) if part is other)
    before, behind = parts[:at], parts[at + 1 :]
    assert sum(len(part) for part in before) == round(0.21 * RATE)  # type: ignore[arg-type]
    assert sum(len(part) for part in behind) == round(0.2 * RATE)  # type: ignore[arg-type]


def spoken(
    processing: Processing, sentences: list[tuple[VoiceGain | None, np.ndarray]]
) -> list[Item]:
    """What a chain makes of whole sentences, each with its gain."""
    chain, items, num_samples = Chain(processing, RATE, 80.0), [], 0
    for gain, samples in sentences:
        items += chain.other_voice(gain)
        for at in range(0, len(samples), 1920):
            num_samples += len(samples[at : at + 1920])
            items += chain.feed(samples[at : at + 1920], -(-num_samples // 1920))
    return items + chain.finish()


def sound_of(items: list[Item]) -> np.ndarray:
    return np.concatenate([i.samples for i in items if isinstance(i, Sounding)])


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.6])
@pytest.mark.parametrize("silence_ms", [None, 60])
def test_the_change_is_at_the_boundary_at_any_pace_and_with_trims(
    speed: float, silence_ms: int | None
) -> None:
    """Two tones without a silence between: the hardest there is."""
    processing = Processing(speed, LOUD, silence_ms, silence_ms)
    made = sound_of(
        spoken(processing, [(LOUD, tone(0.8, level=0.1)), (SOFT, tone(0.8, level=0.1))])
    )
    assert len(made) == round(1.6 * RATE / speed)
    boundary = round(0.8 * RATE / speed)
    period = RATE // 200
    peaks = np.array([np.abs(made[at - period : at]).max() for at in range(period, len(made))])
    # WSOLA looks for its stretches within 8 ms, and lays them over each other for 12.
    reach = 0 if speed == 1.0 else round(RATE * 0.02)
    np.testing.assert_allclose(peaks[: boundary - period - reach], 0.1 * 10**-0.5, rtol=0.01)
    settled = boundary + round(RAMP / min(1.0, speed)) + reach
    np.testing.assert_allclose(peaks[settled:], 0.1 * 10**0.5, rtol=0.01)
    assert click(made, RATE) < 0.1 * click(speech()[0], RATE)


def test_a_change_amid_a_loud_sound_is_no_click() -> None:
    """Cut at the peak of a wave, where a jump of 20 dB would be heard most."""
    peak = RATE // 800
    whole = tone(1.6, level=0.1)
    first, second = whole[: 19_200 + peak], whole[19_200 + peak :]
    made = sound_of(spoken(Processing(gain=LOUD), [(LOUD, first), (SOFT, second)]))
    hard = np.concatenate([first * np.float32(10**-0.5), second * np.float32(10**0.5)])
    np.testing.assert_allclose(made[: len(first)], hard[: len(first)], atol=1e-6)
    settled = len(first) + RAMP
    np.testing.assert_allclose(made[settled:], hard[settled:], atol=1e-6)
    assert highest_jump(hard) > 10 * highest_jump(made)
    assert highest_jump(made) <= 1.05 * highest_jump(whole * np.float32(10**0.5))
    assert click(hard, RATE) > 1000 * click(made, RATE)
    assert click(made, RATE) < 0.1 * click(speech()[0], RATE)


def test_speech_of_two_voices_comes_to_one_loudness_without_a_click() -> None:
    samples, _ = speech()
    quiet, loud = samples * 0.6, np.clip(samples * 2, -1, 1)
    gains = [VoiceGain(-20.0, loudness_lufs(s, RATE)) for s in (quiet, loud)]
    made = sound_of(
        spoken(Processing(gain=gains[0]), [(gains[0], quiet), (gains[1], loud), (gains[0], quiet)])
    )
    assert len(made) == 3 * len(samples)
    for part in np.split(made, 3):
        assert loudness_lufs(part, RATE) == pytest.approx(-20.0, abs=0.3)
    one = sound_of(spoken(Processing(gain=gains[0]), [(gains[0], quiet)]))
    assert highest_jump(made) <= 1.1 * highest_jump(one)
    assert click(made, RATE) <= 1.2 * click(one, RATE)


def test_a_pause_between_two_voices_stays_exact() -> None:
    chain = Chain(Processing(1.5, LOUD), RATE, 80.0)
    items = chain.feed(tone(0.8), 10) + chain.pause(300, 10) + chain.other_voice(SOFT)
    items += chain.feed(tone(0.8, level=0.1), 20) + chain.finish()
    at = next(i for i, item in enumerate(items) if isinstance(item, Pausing))
    before, behind = sound_of(items[:at]), sound_of(items[at:])
    assert len(before) == len(behind) == round(0.8 * RATE / 1.5)
    assert np.abs(before).max() == pytest.approx(0.3 * 10**-0.5, rel=0.01)
    assert np.abs(behind[: RATE // 100]).max() == pytest.approx(0.1 * 10**0.5, rel=0.02)


def test_a_limiter_that_begins_amid_a_turn_keeps_every_sample_and_the_peaks() -> None:
    items = spoken(Processing(), [(None, tone(0.8, level=0.5)), (SOFT, tone(0.8, level=0.5))])
    made = sound_of(items)
    assert len(made) == round(1.6 * RATE)
    np.testing.assert_array_equal(made[: round(0.8 * RATE)], tone(0.8, level=0.5))
    assert np.abs(made).max() <= 0.891
    assert [i.num_frames for i in items if isinstance(i, Sounding)][-1] == 20
