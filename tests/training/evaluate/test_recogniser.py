import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from csm.audio.files import read_audio
from training.evaluate import recogniser
from training.evaluate.recogniser import Recogniser

pytestmark = pytest.mark.skipif(not recogniser.available(), reason="pocketsphinx is missing")

TEXTS = ("the evening train was late again", "could you tell me where the station is")


@pytest.fixture
def clips(tmp_path: Path) -> list[np.ndarray]:
    """Both texts by flite, at 16 kHz."""
    if not shutil.which("flite"):
        pytest.skip("flite is missing")
    for number, text in enumerate(TEXTS):
        command = ["flite", "-voice", "slt", "-t", text, str(tmp_path / f"{number}.wav")]
        subprocess.run(command, check=True)
    return [read_audio(tmp_path / f"{n}.wav", max_seconds=None)[0] for n in range(len(TEXTS))]


def test_what_is_said_is_heard_in_order_whatever_stands_beside_it(clips: list[np.ndarray]) -> None:
    silent = np.zeros(8000, np.float32)
    heard = Recogniser(jobs=2).transcribe([clips[1], silent, clips[0], clips[1]], 16_000)
    assert heard == [TEXTS[1], "", TEXTS[0], TEXTS[1]]


def test_a_clip_is_heard_once_and_then_remembered(clips: list[np.ndarray], tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "transcripts.json"
    first = Recogniser(cache)
    assert first.transcribe(clips[:1], 16_000) == [TEXTS[0]]
    assert first.heard_s == pytest.approx(len(clips[0]) / 16_000)
    assert 0 < first.real_time_factor < 20
    again = Recogniser(cache)
    assert again.transcribe(clips[:1], 16_000) == [TEXTS[0]]
    assert again.heard_s == 0


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="jobs: 0 is not allowed"):
        Recogniser(jobs=0)
    with pytest.raises(ValueError, match=r"clips: shape \[2, 8\]"):
        Recogniser().transcribe([np.zeros((2, 8), np.float32)], 16_000)


def test_a_program_that_fails_is_told_with_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recogniser, "MODEL_DIRECTORY", tmp_path)
    with pytest.raises(RuntimeError, match="pocketsphinx_batch ended with"):
        Recogniser().transcribe([np.zeros(1600, np.float32)], 16_000)
