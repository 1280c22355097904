"""What a voice says of whom it learned from."""

from pathlib import Path

from services.generator.voices import load_voices
from training.corpus.store import SPEAKERS
from training.corpus.teachers.origin import NOTICE, ORIGINS, write_origins


def test_every_speaker_has_an_origin() -> None:
    assert tuple(ORIGINS) == SPEAKERS


def test_a_model_directory_names_its_speakers_and_has_the_notice(tmp_path: Path) -> None:
    write_origins(tmp_path)
    named = load_voices(tmp_path)
    assert [(voice.name, voice.speaker) for voice in named] == [
        (name, number) for number, name in enumerate(SPEAKERS)
    ]
    assert named[1].description == "Male, US English, after Kokoro-82M, am_michael"
    notice = (tmp_path / "NOTICE").read_text()
    assert notice == NOTICE
    assert "hexgrad" in notice
    assert "Apache License, Version 2.0" in notice
