import hashlib
import sys
from pathlib import Path

import pytest

from training.evaluate import whisper_weights

PARTS = {
    "one_judge": {"model.bin.part1": b"abc"},
    "two_judge": {"model.bin.part2": b"def", "config.json": b"{}"},
}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small packages, with checksums and versions that are right."""
    place = tmp_path / "site"
    for name, files in PARTS.items():
        (place / name / "data").mkdir(parents=True)
        (place / name / "__init__.py").touch()
        for file, data in files.items():
            (place / name / "data" / file).write_bytes(data)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(place)
    monkeypatch.setattr(whisper_weights, "PACKAGES", dict.fromkeys(PARTS, "1.0.0"))
    monkeypatch.setattr(whisper_weights, "version", lambda name: "1.0.0")
    files = {"model.bin": b"abcdef", "config.json": b"{}"}
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    monkeypatch.setattr(whisper_weights, "FILES", sums)
    return place


def test_the_parts_are_joined_once(packages: Path, tmp_path: Path) -> None:
    place = whisper_weights.join(tmp_path / "deep" / "whisper")
    assert (place / "model.bin").read_bytes() == b"abcdef"
    assert sorted(path.name for path in place.iterdir()) == ["config.json", "model.bin"]
    # What is there and right needs no package.
    (packages / "one_judge" / "data" / "model.bin.part1").write_bytes(b"xyz")
    assert whisper_weights.join(place) == place


def test_other_bytes_are_refused(packages: Path, tmp_path: Path) -> None:
    (packages / "one_judge" / "data" / "model.bin.part1").write_bytes(b"xyz")
    with pytest.raises(ValueError, match=r"model\.bin: SHA-256 \w+ is not allowed"):
        whisper_weights.join(tmp_path / "whisper")
    assert not list((tmp_path / "whisper").iterdir())


def test_a_file_that_was_spoiled_is_made_anew(packages: Path, tmp_path: Path) -> None:
    place = whisper_weights.join(tmp_path / "whisper")
    (place / "model.bin").write_bytes(b"abc")
    whisper_weights.join(place)
    assert (place / "model.bin").read_bytes() == b"abcdef"


def test_another_version_is_refused(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whisper_weights, "version", lambda name: "2.0.0")
    with pytest.raises(ValueError, match=r"one_judge: version 2\.0\.0 is not allowed"):
        whisper_weights.join(tmp_path / "whisper")
