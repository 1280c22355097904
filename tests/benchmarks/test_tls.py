"""What TLS costs, measured over fakes."""

import json

import pytest

from benchmarks import tls


def test_both_gateways_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert tls.main(["--calls", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    for side in ("plaintext", "mutual_tls"):
        assert result[side]["first_audio_ms"]["p50"] > 0
        assert result[side]["new_connection_ms"]["p50"] > 0
        assert 0 < result[side]["cpu_ms_a_frame"] < 10
