import numpy as np
import pytest

from training.evaluate.silence import Silence, measure

RATE_HZ = 24_000


def _parts(*parts_ms: tuple[int, float]) -> np.ndarray:
    """Noise of given milliseconds and level, one part after the other."""
    random = np.random.default_rng(0)
    return np.concatenate(
        [random.normal(size=RATE_HZ * ms // 1000) * level for ms, level in parts_ms]
    )


def test_silence_is_found_before_within_and_after() -> None:
    audio = _parts((80, 0), (300, 0.1), (50, 0), (200, 0.1), (270, 1e-5), (100, 0.05), (120, 0))
    assert measure(audio, RATE_HZ) == Silence(80, 270, 120)


def test_soft_sound_is_no_silence() -> None:
    assert measure(_parts((300, 0.1), (300, 0.004)), RATE_HZ) == Silence(0, 0, 0)


@pytest.mark.parametrize("audio", [np.zeros(RATE_HZ), np.zeros(3)])
def test_a_clip_without_sound_is_silent_from_the_start(audio: np.ndarray) -> None:
    assert measure(audio, RATE_HZ) == Silence(len(audio) * 1000 // RATE_HZ // 10 * 10, 0, 0)
