"""Drift is told from the noise of sentences; the benchmark itself runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import voice_drift
from benchmarks.voice_drift import CONDITIONS, _Clip, draw, measure


def lots(drift: float, rng: np.random.Generator) -> dict[str, list[_Clip]]:
    """Two voices of 30 turns that move by `drift` a turn, each from a place of its own."""
    found = {}
    for number, voice in enumerate(("a", "b")):
        place = np.zeros(40)
        place[number] = 10.0
        away = rng.normal(size=40)
        found[voice] = [
            _Clip(turn, place + drift * turn * away + 0.3 * rng.normal(size=40))
            for turn in range(1, 31)
        ]
    return found


def test_a_voice_that_drifts_gets_less_like_its_first_turn_and_another_does_not() -> None:
    rng = np.random.default_rng(1)
    found = dict(zip(CONDITIONS, (lots(0.0, rng), lots(0.1, rng), lots(0.0, rng)), strict=True))
    result = measure(found, 30)
    still, drifting = (result[name]["per_10_turns"] for name in CONDITIONS[:2])
    assert abs(still) < 0.05
    assert drifting < -0.1
    assert result["others"] < result[CONDITIONS[0]]["turns_21_to_30"]
    json.dumps(result, allow_nan=False)


def test_turns_that_were_interrupted_are_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    whole = lots(0.0, rng)
    cut = {name: [c for c in clips if c.turn % 3] for name, clips in whole.items()}
    result = measure(dict(zip(CONDITIONS, (whole, cut, whole), strict=True)), 30)
    by_turn = result[CONDITIONS[1]]["by_turn"]
    assert [at + 1 for at, value in enumerate(by_turn) if value is None] == list(range(3, 31, 3))
    draw(result, tmp_path / "drift.png")
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, picture = tmp_path / "drift.json", tmp_path / "drift.png"
    given = ["--turns", "3", "--out", str(out), "--picture", str(picture)]
    assert voice_drift.main(given) == 0
    result = json.loads(out.read_text())
    for name in CONDITIONS:
        assert result[name]["by_turn"][0] == pytest.approx(1.0)
    assert result[CONDITIONS[1]]["by_turn"][2] is None
    assert result[CONDITIONS[0]]["turns_2_to_10"] > result["others"]
