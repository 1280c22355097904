"""What the gateway adds, measured over fakes."""

import json

import pytest

from benchmarks import gateway


def test_time_and_cpu_of_a_gateway_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert gateway.main(["--calls", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    # Every character of the text is 0.6 frames, rounded up.
    assert result["frames"] == 2 * 45
    assert 0 < result["cpu_ms_a_frame"] < 5
    assert result["first_audio_ms"]["p50"] > 0
    assert result["first_audio_of_backends_ms"]["p50"] > 0
