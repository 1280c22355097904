"""What is odd about a recording, on standard error, and what is mended."""

from pathlib import Path

import numpy as np
import pytest

from csm.cli.code_file import CodeFile
from tests.csm.audio.building import RATE_HZ, TONE, wav, written
from tests.csm.cli.conftest import Csm
from tests.pico import PICO

LOCAL = ("--threads", 1, "--model", PICO)


@pytest.mark.parametrize("mend", [False, True])
def test_what_is_odd_about_a_recording_is_told_on_standard_error(
    csm: Csm, tmp_path: Path, mend: bool
) -> None:
    source, target = tmp_path / "a.wav", tmp_path / "a.safetensors"
    silence = np.zeros(3 * RATE_HZ, np.float32)
    source.write_bytes(written("WAV", "PCM_16", np.concatenate([silence, TONE + 0.2])))
    result = csm("encode", source, "-o", target, *(["--mend"] if mend else []), *LOCAL)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    warnings = [line for line in result.stderr.splitlines() if line.startswith("csm: warning")]
    assert len(warnings) == 2
    assert all(str(source) in line for line in warnings)
    assert "constant offset" in warnings[0]
    assert "3.0 s of silence" in warnings[1]
    seconds = CodeFile.read(target).num_samples / RATE_HZ
    assert seconds == pytest.approx(1.1 if mend else 4.0, abs=0.03)


def test_a_recording_as_it_should_be_is_encoded_without_a_word(csm: Csm, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(data_size=2_000_000_000))
    result = csm("encode", tmp_path / "a.wav", *LOCAL)
    assert result.exit_code == 0, result.output
    assert "warning" not in result.stderr
    assert CodeFile.read(tmp_path / "a.safetensors").num_samples == RATE_HZ


@pytest.mark.parametrize(("name", "options"), [("a.ulaw", ()), ("a.raw", ("--encoding", "mulaw"))])
def test_samples_without_a_header_are_not_mended(
    csm: Csm, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    (tmp_path / name).write_bytes(b"\xff" * 8000)
    result = csm("encode", tmp_path / name, "--mend", *options, *LOCAL)
    assert result.exit_code == 1
    assert "--mend is for files with a header" in result.stderr
