"""Recordings that make bad prompts: read rightly, told, and mended where that is harmless."""

import io

import numpy as np
import pytest
import soundfile

from csm.audio.files import Recording, read_audio
from csm.audio.pcm import Samples
from csm.audio.survey import Survey
from tests.csm.audio.building import LEVEL, RATE_HZ, TONE, fmt, read, tone, wav, written

USUAL = 10 ** (-23 / 20)


def recorded(samples: np.ndarray, subtype: str = "FLOAT") -> bytes:
    return written("WAV", subtype, samples)


def rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def one(warnings: list[str], says: str) -> None:
    assert len(warnings) == 1, warnings
    assert says in warnings[0]


def test_of_channels_that_cancel_each_other_the_louder_is_read() -> None:
    samples, _, warnings = read(recorded(np.stack([TONE * 0.9, -TONE], 1)))
    np.testing.assert_allclose(samples, -TONE, atol=1e-6)
    one(warnings, "its 2 channels cancel each other")
    samples, _, _ = read(recorded(np.stack([TONE, -TONE], 1), "PCM_16"))
    assert rms(samples) == pytest.approx(LEVEL / np.sqrt(2), rel=1e-3)


def test_of_a_stereo_with_one_empty_channel_the_full_one_is_read_at_full_level() -> None:
    for lanes in ([TONE, TONE * 0], [np.full_like(TONE, 1e-4), TONE]):
        samples, _, warnings = read(recorded(np.stack(lanes, 1)))
        np.testing.assert_allclose(samples, TONE, atol=1e-6)
        one(warnings, "of 2 empty: left out")
    surround = np.stack([TONE * 0, TONE * 0, TONE, TONE * 0, TONE * 0, TONE * 0], 1)
    samples, _, warnings = read(recorded(surround))
    np.testing.assert_allclose(samples, TONE, atol=1e-6)
    one(warnings, "channels 1, 2, 4, 5, 6 of 6 empty")


@pytest.mark.parametrize("mend", [False, True])
def test_a_constant_offset_is_told_and_taken_off_where_asked(mend: bool) -> None:
    samples, _, warnings = read(recorded(TONE + 0.5), mend=mend)
    np.testing.assert_allclose(samples, TONE if mend else TONE + 0.5, atol=1e-3)
    one(warnings, "it has a constant offset of 0.5 of full scale")
    assert ("it was taken off" in warnings[0]) is mend


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW"])
def test_what_is_cut_off_at_full_scale_for_10_ms_is_told(subtype: str) -> None:
    samples = np.clip(TONE * 6, -1, 1)
    _, _, warnings = read(recorded(samples, subtype))
    one(warnings, "it is clipped: ")


@pytest.mark.parametrize("hz", [20, 100, 440, 997, 3000])
def test_a_tone_that_just_reaches_full_scale_is_not_clipped(hz: float) -> None:
    for subtype in ("PCM_16", "FLOAT"):
        samples, _, warnings = read(recorded(tone(hz=hz) / LEVEL, subtype))
        assert not warnings
        assert np.abs(samples).max() > 0.99


def test_a_plateau_below_10_ms_is_not_told() -> None:
    samples = TONE.copy()
    samples[1000 : 1000 + RATE_HZ // 125] = 1.0
    assert not read(recorded(samples))[2]
    samples[1000 : 1000 + RATE_HZ // 80] = 1.0
    one(read(recorded(samples))[2], "it is clipped: 12 ms")


@pytest.mark.parametrize("mend", [False, True])
@pytest.mark.parametrize("level", [0.0, 2e-5])
def test_silence_is_told_and_stays_silence(level: float, mend: bool) -> None:
    noise = np.random.default_rng(1).uniform(-level, level, RATE_HZ).astype(np.float32)
    samples, _, warnings = read(recorded(noise), mend=mend)
    np.testing.assert_array_equal(samples, noise)
    one(warnings, "it is silent")


def test_one_sample_is_read_and_told() -> None:
    samples, _, warnings = read(wav(b"\x00\x40"))
    assert samples.tolist() == [0.5]
    assert any("it has 1 sample (" in warning for warning in warnings)


@pytest.mark.parametrize("mend", [False, True])
def test_long_silence_at_the_ends_is_told_and_cut_where_asked(mend: bool) -> None:
    silence = np.zeros(3 * RATE_HZ, np.float32)
    samples, _, warnings = read(recorded(np.concatenate([silence, TONE, silence])), mend=mend)
    assert [w.split(" of silence")[0] for w in warnings] == [
        "it begins with 3.0 s",
        "it ends with 3.0 s",
    ]
    if not mend:
        assert len(samples) == 7 * RATE_HZ
        return
    kept = RATE_HZ // 10
    assert len(samples) == pytest.approx(RATE_HZ + 2 * kept, abs=RATE_HZ // 50)
    assert rms(samples[kept : kept + RATE_HZ]) == pytest.approx(rms(TONE), rel=0.05)
    assert not samples[: kept // 2].any()


def test_half_a_second_of_silence_is_as_recordings_are() -> None:
    pause = np.zeros(RATE_HZ // 2, np.float32)
    samples, _, warnings = read(recorded(np.concatenate([pause, TONE, pause])), mend=True)
    assert not warnings
    assert len(samples) == 2 * RATE_HZ


@pytest.mark.parametrize("mend", [False, True])
def test_a_level_far_off_is_told_and_made_a_usual_one_where_asked(mend: bool) -> None:
    quiet = TONE / 400
    samples, _, warnings = read(recorded(quiet), mend=mend)
    one(warnings, "it is quiet: -63 dB of full scale")
    assert rms(samples) == pytest.approx(USUAL if mend else rms(quiet), rel=0.02)
    loud = TONE * 10
    samples, _, warnings = read(recorded(loud), mend=mend)
    one(warnings, "it goes 12 dB beyond full scale")
    assert rms(samples) == pytest.approx(USUAL if mend else rms(loud), rel=0.02)


def test_a_recording_as_it_should_be_is_left_alone() -> None:
    plain, _, _ = read(wav())
    mended, _, warnings = read(wav(), mend=True)
    np.testing.assert_array_equal(plain, mended)
    assert not warnings


def test_all_of_it_at_once_is_mended_and_told() -> None:
    sound = np.concatenate([np.zeros(2 * RATE_HZ), TONE / 400]) + 0.3
    both = np.stack([sound, np.zeros(len(sound))], 1) * 32_767
    out = io.BytesIO()
    soundfile.write(out, both.astype(np.float32), RATE_HZ, format="WAV", subtype="FLOAT")
    samples, _, warnings = read(out.getvalue(), mend=True)
    assert len(warnings) == 5
    assert rms(samples[RATE_HZ // 5 :]) == pytest.approx(USUAL, rel=0.05)
    assert abs(samples.mean()) < 1e-3
    assert len(samples) == pytest.approx(1.1 * RATE_HZ, abs=RATE_HZ // 50)


def test_what_is_measured_does_not_depend_on_the_blocks() -> None:
    rng = np.random.default_rng(5)
    samples = rng.uniform(-1, 1, (50_000, 2)).astype(np.float32)
    whole, parts = Survey(22_050, 2), Survey(22_050, 2)
    whole.feed(samples)
    at = 0
    while at < len(samples):
        step = int(rng.integers(1, 900))
        parts.feed(samples[at : at + step])
        at += step
    np.testing.assert_allclose(parts.levels(), whole.levels(), rtol=1e-4)
    np.testing.assert_allclose(parts.covariance, whole.covariance)
    np.testing.assert_allclose(whole.covariance, np.cov(samples.T.astype(float), bias=True))
    assert parts.num_samples == whole.num_samples
    assert parts.peak == whole.peak


def test_blocks_come_after_the_survey_and_at_any_rate() -> None:
    recording = Recording(io.BytesIO(wav()))
    with pytest.raises(RuntimeError):
        next(recording.blocks())
    assert sum(1 for _ in recording.survey()) == 1
    assert recording.rate_hz == RATE_HZ
    assert sum(map(len, recording.blocks(16_000))) == 16_000
    assert sum(map(len, recording.blocks())) == RATE_HZ


def test_warnings_are_added_to_those_that_are_there() -> None:
    warnings = ["one"]
    read_audio(recorded(TONE + 0.5), max_seconds=9, warnings=warnings)
    assert len(warnings) == 2


def test_the_offset_of_a_piece_of_a_wave_is_none() -> None:
    assert not read(recorded(TONE[: RATE_HZ // 10 + 13]))[2]
    assert fmt()[:4] == b"fmt "
