import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from csm.audio.files import read_audio
from training.evaluate import whisper
from training.evaluate.packages import missing
from training.evaluate.whisper import Whisper

LACKING = missing(*whisper.MODULES)
WITHOUT = bool(LACKING)


@pytest.mark.skipif(WITHOUT, reason=f"missing: {', '.join(LACKING)}")
def test_what_is_said_is_heard_and_remembered(tmp_path: Path) -> None:
    if not shutil.which("flite"):
        pytest.skip("flite is missing")
    path = tmp_path / "said.wav"
    text = "The evening train was late again."
    subprocess.run(["flite", "-voice", "slt", "-t", text, str(path)], check=True)
    clip = read_audio(path, max_seconds=None)[0]
    silent = np.zeros(8000, np.float32)
    cache = tmp_path / "heard.json"
    heard = Whisper(tmp_path / "weights", cache=cache).transcribe([silent, clip], 16_000)
    assert heard == ["", text]
    # From the cache: there are no weights to load.
    again = Whisper(tmp_path / "weights-none", cache=cache)
    assert again.transcribe([clip], 16_000) == [text]
    assert not (tmp_path / "weights-none").exists()


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="threads: 0 is not allowed"):
        Whisper(tmp_path, threads=0)


def test_without_its_packages_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whisper, "MODULES", ("no_such_judge",))
    with pytest.raises(ValueError, match=r"no_such_judge: .*\[training\]"):
        Whisper(tmp_path)
