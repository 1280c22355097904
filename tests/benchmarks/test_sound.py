"""The measures of the benchmark of sound."""

import pytest

from benchmarks.sound import cpu_ms, pitch_hz
from gateway.sound.options import UNTOUCHED, Processing
from tests.gateway.sound.speech import tone


def test_pitch_is_that_of_a_tone() -> None:
    assert pitch_hz(tone(0.5)) == pytest.approx(200, rel=0.01)


def test_cpu_is_measured_by_frame_and_a_chain_with_nothing_to_do_takes_least() -> None:
    sound = tone(4.0)
    fast = min(cpu_ms(Processing(1.5), sound) for _ in range(3))
    assert min(cpu_ms(UNTOUCHED, sound) for _ in range(3)) < fast < 20
