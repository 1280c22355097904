import numpy as np
import pytest

from training.evaluate.level import PEAK, levelled


def test_every_clip_has_one_rate_and_one_peak() -> None:
    time_s = np.arange(24_000) / 24_000
    tone = np.sin(2 * np.pi * 440 * time_s)
    for gain in (0.01, 1.0, 3.0):
        found = levelled((gain * tone).astype(np.float32), 24_000)
        assert found.dtype == np.float32
        assert len(found) == 16_000
        assert np.abs(found).max() == pytest.approx(PEAK, abs=1e-5)


def test_silence_is_not_made_loud() -> None:
    assert not levelled(np.zeros(2400, np.float32), 24_000).any()


@pytest.mark.parametrize("shape", [(0,), (2, 8)])
def test_what_is_no_clip_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="audio: shape"):
        levelled(np.zeros(shape, np.float32), 16_000)
