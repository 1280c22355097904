from pathlib import Path

import numpy as np

from training.evaluate.cache import Cache

CLIPS = [np.full(4, value, np.float32) for value in (0.1, 0.2, 0.1)]


def test_a_clip_is_judged_once_and_then_remembered(tmp_path: Path) -> None:
    asked = []

    def judge(clip: np.ndarray) -> float:
        asked.append(float(clip[0]))
        return round(float(clip.sum()), 1)

    path = tmp_path / "deep" / "verdicts.json"
    assert Cache(path).judged(CLIPS, judge) == [0.4, 0.8, 0.4]
    assert len(asked) == 2
    assert Cache(path).judged(CLIPS[::-1], judge) == [0.4, 0.8, 0.4]
    assert len(asked) == 2
    assert [file.name for file in path.parent.iterdir()] == ["verdicts.json"]


def test_without_a_file_it_remembers_for_itself_alone() -> None:
    cache = Cache()
    assert cache.judged(CLIPS[:1], lambda clip: "a") == ["a"]
    assert cache.judged(CLIPS[:1], lambda clip: "b") == ["a"]
    assert Cache().judged(CLIPS[:1], lambda clip: "b") == ["b"]
