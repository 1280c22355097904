"""The command that compares targets."""

import json
from pathlib import Path

import pytest

from benchmarks.fleet.__main__ import main


def test_targets_are_compared_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = tmp_path / "day.png"
    asked = ["day", "--slots", "2", "--peak-slots", "1", "--targets", "0.3,0.9"]
    assert main([*asked, "--discovery-s", "30", "--chart", str(chart)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(row["discovery_s"], row["target"]) for row in told["rows"]] == [(30, 0.3), (30, 0.9)]
    careful, bold = told["rows"]
    assert careful["replica_hours"] > bold["replica_hours"] >= 48
    assert careful["late_percent"] < bold["late_percent"]
    assert chart.read_bytes().startswith(b"\x89PNG")
