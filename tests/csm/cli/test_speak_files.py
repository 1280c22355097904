"""`csm speak` with a file or a folder of texts."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from tests.csm.cli.conftest import Csm
from tests.csm.cli.test_serve import FREE, serving


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    with serving(*FREE, "--metrics-port", "0") as server:
        yield server.address("gateway")


def test_a_text_file_is_spoken_beside_itself_and_what_was_skipped_is_said(
    csm: Csm, gateway: str, tmp_path: Path
) -> None:
    text = tmp_path / "note.txt"
    text.write_text("Hello there. \u041f\u0440\u0438\u0432\u0435\u0442. Goodbye.")
    result = csm("speak", text, "--server", gateway, "--seed", 1)
    assert result.exit_code == 0, result.output
    assert soundfile.info(tmp_path / "note.wav").frames > 1920 * 5
    assert "text, characters 13 to 20" in result.stderr
    assert "skipped 7 characters" in " ".join(result.stderr.split())
    text.write_bytes(b"\xff\xfe\xff")
    result = csm("speak", text, "--server", gateway)
    assert result.exit_code == 1
    assert "not UTF-8" in result.stderr


@pytest.mark.parametrize("name", ["missing.txt", "no/such/Place.MD", "a.ssml"])
def test_the_name_of_a_file_that_is_not_there_is_not_spoken(
    csm: Csm, tmp_path: Path, name: str
) -> None:
    result = csm("speak", name, "-o", tmp_path / "x.wav")
    assert result.exit_code == 1
    assert f"{name}: no such file" in " ".join(result.stderr.split())
    assert not (tmp_path / "x.wav").exists()


def test_a_long_text_is_spoken_in_parts_and_its_code_is_left_out_and_told(
    csm: Csm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSM_GATEWAY_MAX_TEXT_CHARS", "80")
    text, words = tmp_path / "long.md", tmp_path / "words.json"
    code = "```\n" + "x = 1. Or 2.\n\n" * 20 + "```\n"
    said = f"<voice name='michael'>Hello there. Good evening.\n\n{code}\nThis is all.</voice>"
    text.write_text(said)
    with serving(*FREE, "--metrics-port", "0") as server:
        result = csm("speak", text, "--server", server.address("gateway"), "--seed", 1,
                     "--words", words)  # fmt: skip
    assert result.exit_code == 0, result.output
    told = " ".join(result.stderr.split())
    first = said.index("```")
    assert f"text, characters {first} to {first + len(code)}: not spoken: code" in told
    assert f"skipped {len(code)} characters" in told
    spoken = [said[one["first_char"] : one["end_char"]] for one in json.loads(words.read_text())]
    assert spoken == ["Hello", "there", "Good", "evening", "This", "is", "all"]


def test_a_folder_is_spoken_once_and_again_where_a_text_is_newer(
    csm: Csm, gateway: str, tmp_path: Path
) -> None:
    texts, sounds = tmp_path / "texts", tmp_path / "sounds"
    texts.mkdir()
    (texts / "a.txt").write_text("Good morning.")
    (texts / "b.md").write_text("# Title\n\nGood evening.")
    (texts / "c.pdf").write_text("no text")
    (texts / "d.txt").write_text(" \n")
    spoken = ("speak", texts, "-o", sounds, "--server", gateway, "--format", "flac")
    result = csm(*spoken)
    assert result.exit_code == 1
    assert "2 spoken" in result.stderr
    assert "c.pdf: is none of .txt, .md, .ssml" in result.stderr
    assert "d.txt: is empty" in result.stderr
    assert sorted(os.listdir(sounds)) == ["a.flac", "b.flac"]
    for name in ("a.flac", "b.flac"):
        assert soundfile.info(sounds / name).frames > 1920 * 3

    (texts / "d.txt").unlink()
    before = (sounds / "a.flac").stat().st_mtime_ns
    newer = before / 1e9 + 60
    os.utime(texts / "b.md", (newer, newer))
    result = csm(*spoken)
    assert result.exit_code == 0, result.output
    assert "1 spoken" in result.stderr
    assert "a.flac is there and newer" in result.stderr
    assert (sounds / "a.flac").stat().st_mtime_ns == before
    assert "2 spoken" in csm(*spoken, "--again").stderr


def test_a_folder_without_a_place_for_its_speech_is_said(csm: Csm, tmp_path: Path) -> None:
    result = csm("speak", tmp_path, "--server", "127.0.0.1:1")
    assert result.exit_code == 1
    assert "say --output FOLDER" in result.stderr


def test_a_folder_whose_speech_breaks_off_leaves_no_half_file(
    csm: Csm, gateway: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "long.txt").write_text("The river is wide here. " * 400)
    result = csm("speak", tmp_path / "in", "-o", tmp_path / "out", "--server", gateway,
                 "--timeout-s", 1.5)  # fmt: skip
    assert result.exit_code == 1
    assert "0 spoken" in result.stderr
    assert "has the audio until then" not in result.stderr
    assert os.listdir(tmp_path / "out") == []
