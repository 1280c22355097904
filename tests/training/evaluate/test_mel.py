from collections.abc import Callable

import numpy as np
import pytest

from training.evaluate.mel import cepstra, log_mel

RATE_HZ = 24_000


def _tone(frequency_hz: float, seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)


@pytest.mark.parametrize("frequency_hz", [300.0, 1000.0, 4000.0])
def test_a_tone_stands_in_the_band_of_its_frequency(frequency_hz: float) -> None:
    bands = log_mel(_tone(frequency_hz), RATE_HZ)
    mel = 2595 * np.log10(1 + np.array([frequency_hz, RATE_HZ / 2]) / 700)
    assert bands.shape[1] == 80
    assert abs(bands.mean(axis=0).argmax() - (mel[0] / mel[1] * 81 - 1)) <= 1


def test_ten_times_the_amplitude_is_a_natural_logarithm_of_ten() -> None:
    loud, soft = (log_mel(_tone(1000) * level, RATE_HZ).max() for level in (0.5, 0.05))
    assert loud - soft == pytest.approx(np.log(10), abs=1e-6)


def test_less_than_a_window_is_one_window_and_silence_the_floor() -> None:
    assert log_mel(np.zeros(10), RATE_HZ) == pytest.approx(np.full((1, 80), np.log(1e-5)))


def test_cepstra_hear_neither_level_nor_pauses(
    formant_voice: Callable[[int, float, int], np.ndarray],
) -> None:
    sound = formant_voice(1, 1.0, 0)
    whole = cepstra(sound, RATE_HZ).mean(axis=0)
    padded = np.concatenate((np.zeros(RATE_HZ), sound, np.zeros(RATE_HZ))) * 0.5
    assert cepstra(padded, RATE_HZ).mean(axis=0) == pytest.approx(whole, abs=0.1)


def test_no_audio_is_refused() -> None:
    with pytest.raises(ValueError, match=r"audio: shape \[0\]"):
        log_mel(np.zeros(0), RATE_HZ)
    with pytest.raises(ValueError, match=r"audio: shape \[2, 3\]"):
        log_mel(np.zeros((2, 3)), RATE_HZ)
