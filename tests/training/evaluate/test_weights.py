"""What smaller weights change, on the voice that ships."""

from pathlib import Path

import pytest

from services.generator.model import weights as model_weights
from training.evaluate import weights
from training.evaluate.voice import Line, Voice

PICO = Path(__file__).resolve().parents[3] / "models" / "pico"
LINES = (Line(0, "The train was late.", 20, 1), Line(3, "Two cups of tea, please.", 20, 2))


@pytest.fixture(scope="module")
def reference() -> Voice:
    return Voice(PICO)


def test_a_voice_chooses_as_itself(reference: Voice) -> None:
    head = model_weights.load(PICO).lm_head.weight.float()
    found = weights.choices(reference, Voice(PICO), head, LINES)
    assert 10 < found.pop("frames") <= 40
    assert found == {
        "kl_divergence_first_codebook": 0.0,
        "same_first_code": 1.0,
        "same_frame": 1.0,
        "same_frame_drawn": 1.0,
    }


def test_int8_chooses_nearly_as_fp32(reference: Voice) -> None:
    head = model_weights.load(PICO).lm_head.weight.float()
    found = weights.choices(reference, Voice(PICO, dtype="int8"), head, LINES)
    assert 0 < found["kl_divergence_first_codebook"] < 0.01
    assert found["same_first_code"] > 0.85
    assert found["same_frame"] < 1
