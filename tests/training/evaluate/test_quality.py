import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from training.evaluate.quality import measure

RATE_HZ = 24_000


def test_quality_falls_as_noise_rises(
    formant_voice: Callable[[int, float, int], np.ndarray],
) -> None:
    pytest.importorskip("pystoi")
    pytest.importorskip("pesq")
    clean = formant_voice(0, 2.0, 0)
    noise = np.random.default_rng(0).normal(size=len(clean)).astype(np.float32)
    found = [measure(clean, clean + level * noise, RATE_HZ) for level in (0.0, 0.003, 0.1)]
    assert found[0].stoi == pytest.approx(1, abs=1e-3)
    assert found[0].pesq == pytest.approx(4.64, abs=0.01)
    assert found[0].mel_distance == 0
    for better, worse in itertools.pairwise(found):
        assert better.stoi > worse.stoi + 0.01
        assert better.pesq > worse.pesq + 0.1
        assert better.mel_distance < worse.mel_distance


def test_silence_and_a_blip_have_no_figure_but_a_distance() -> None:
    pytest.importorskip("pystoi")
    pytest.importorskip("pesq")
    silent = np.zeros(RATE_HZ, np.float32)
    blip = np.sin(np.arange(2400) / 10).astype(np.float32)
    for audio in (silent, blip):
        found = measure(audio, audio, RATE_HZ)
        assert math.isnan(found.stoi)
        assert math.isnan(found.pesq)
        assert found.mel_distance == 0


def test_clips_of_two_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"degraded: shape \[5\] .* must be \[6\]"):
        measure(np.zeros(6), np.zeros(5), RATE_HZ)
