"""The whole way, on the voice that ships: a few short sentences, every part, and the page."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.corpus.store import SPEAKERS
from training.evaluate import dnsmos, resemblance, whisper
from training.evaluate.__main__ import main, parse
from training.evaluate.clip import Part
from training.evaluate.packages import missing

LACKING = missing(*whisper.MODULES, *dnsmos.MODULES, *resemblance.MODULES)
PICO = Path(__file__).resolve().parents[3] / "models" / "pico"


def _command(work: Path, parts: str, *more: str) -> list[str]:
    return [
        *("--work", str(work), "--voice", str(PICO), "--held-out", str(work / "held_out.txt")),
        *("--docs", str(work / "docs"), "--parts", parts, "--threads", "1", *more),
    ]


@pytest.mark.skipif(bool(LACKING), reason=f"missing: {', '.join(LACKING)}")
def test_a_voice_is_measured_from_corpus_to_page(work: Path) -> None:
    pytest.importorskip("pystoi")
    pytest.importorskip("pesq")
    (work / "curves").mkdir()
    (work / "curves" / "codec.png").write_bytes(b"a picture")
    parts = "teacher,codec,speech,context,report"
    assert main(_command(work, parts, "--sentences", "2")) == 0

    figures = json.loads((work / "docs" / "pico.json").read_text())
    assert figures["sentences"] == 2
    assert figures["resemblance"]["teacher"][0][0] > 0.8
    assert 1 < figures["judged"]["speech"]["all"]["ovrl"]["value"] < 5
    assert figures["differences"]["pico_minus_teacher"]["low"] is not None
    assert 0 < figures["all"]["stoi"] < 1
    # It speaks for some time, and never beyond 2.5 times its teacher, or two seconds.
    assert figures["lengths"]["speech"]["shortest"] > 0.06
    assert figures["lengths"]["speech"]["longest"] <= 3.04 / 1.2
    page = (work / "docs" / "pico.md").read_text()
    assert "The evening train was late again." in page
    assert "images/pico-curve-codec.png" in page
    assert (work / "docs" / "images" / "pico-curve-codec.png").read_bytes() == b"a picture"
    for name in ("pico-word-errors", "pico-spectrogram"):
        assert f"images/{name}.png" in page
        assert (work / "docs" / "images" / f"{name}.png").stat().st_size > 2000
    samples = sorted(path.name for path in (work / "docs" / "samples").iterdir())
    assert samples == [
        f"pico-{part}{SPEAKERS[0]}.ogg" for part in ("codec-", "context-", "", "teacher-")
    ]
    for name in samples:
        sound, _ = soundfile.read(work / "docs" / "samples" / name)
        assert len(sound) > 1920
        assert f"samples/{name}" in page
    assert str(work) not in page

    speech = Part.load(work / "evaluate", "speech")
    assert speech is not None
    kept, rate_hz = soundfile.read(work / "evaluate" / "audio" / "speech" / "001.wav")
    assert rate_hz == 24_000
    assert len(kept) == round(speech.clips[1].audio_s * 24_000)
    assert np.abs(kept).max() > 0.01

    # Another corpus: what was measured on this one is not shown beside it.
    lines = next((work / "corpus").glob(f"held_out-{SPEAKERS[0]}-*.jsonl"))
    lines.write_text(lines.read_text() + "\n")
    assert main(_command(work, "report")) == 1


def test_a_part_that_does_not_exist_is_named(work: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        parse(_command(work, "codec,speach"))
    assert "'speach' is not allowed, must be of teacher, codec" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(_command(work, "codec", "--sentences", "0"))
    assert "--sentences: 0 is not allowed" in capsys.readouterr().err


def test_a_missing_corpus_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "held_out.txt").write_text("Hello.\n")
    assert main(_command(tmp_path, "teacher")) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "no whole part of held_out" in said
    assert "Traceback" not in said
