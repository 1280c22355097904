from pathlib import Path

import pytest

from training.evaluate import speed
from training.evaluate.held_out import load_items

PICO = Path(__file__).resolve().parents[3] / "models" / "pico"


def test_the_whole_system_is_timed_by_a_listener(work: Path) -> None:
    items = load_items(work / "corpus", work / "held_out.txt")[:2]
    done: list[int] = []
    found = speed.measure(PICO, items, lambda: done.append(1))
    assert len(done) == found["utterances"] == 2
    assert found["audio_s"] > 0.3
    assert 0 < found["real_time_factor"] <= found["real_time_factor_worst"]
    longest_s = found["real_time_factor_worst"] * found["audio_s"]
    assert 0 < found["first_audio_ms"] < 1000 * longest_s


def test_nothing_to_speak_is_refused() -> None:
    with pytest.raises(ValueError, match="items: 0 are not allowed"):
        speed.measure(PICO, [])
