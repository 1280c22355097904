"""voice.json, as `docs/voices.md` describes it, and the recordings beside it."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from csm.lexicon_file import MAX_ENTRY_CHARS

FILE_NAME = "voice.json"
MAX_RECORDING_BYTES = 32 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


Word = Annotated[str, Field(min_length=1, max_length=MAX_ENTRY_CHARS)]
Spelling = Annotated[str, Field(min_length=1, max_length=MAX_ENTRY_CHARS)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PromptFile(_Strict):
    """A recording and its words."""

    audio: str = Field(min_length=1)
    text: str = Field(min_length=1, max_length=4096)


class VoiceFile(_Strict):
    """The content of voice.json."""

    speaker: int = Field(ge=0, le=65535)
    description: str = Field("", max_length=1000)
    lexicon: dict[Word, Spelling] = Field(default_factory=dict, max_length=1024)
    prompts: list[PromptFile] = Field(default_factory=list, max_length=16)


def voice_files(directory: Path) -> list[Path]:
    """Every voice.json of a folder of voices, in order; raises `ValueError` where it is none."""
    if not directory.is_dir():
        raise ValueError(f"voices_directory {directory}: is not a directory")
    return sorted(directory.glob(f"*/{FILE_NAME}"))


def read_voice_file(path: Path) -> tuple[VoiceFile, list[tuple[Path, bytes]]]:
    """The voice file at `path`, and its recordings in order.

    Raises `ValueError` naming the file, the field and what is wrong with it.
    """
    name = path.parent.name
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{path}: {name!r} is no name for a voice; allowed are 1..64 letters, digits, '.', "
            "'_' and '-', the first a letter or digit"
        )
    try:
        content = VoiceFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "content"
        raise ValueError(f"{path}: {where}: {first['msg']}") from None
    return content, [_recording(path, prompt.audio) for prompt in content.prompts]


def _recording(path: Path, name: str) -> tuple[Path, bytes]:
    audio = (path.parent / name).resolve()
    if not audio.is_relative_to(path.parent.resolve()):
        raise ValueError(f"{path}: audio {name!r} lies outside the voice's folder")
    try:
        size = audio.stat().st_size
        if size > MAX_RECORDING_BYTES:
            raise ValueError(
                f"{path}: audio {name!r} has {size} bytes; allowed are at most "
                f"{MAX_RECORDING_BYTES}"
            )
        return audio, audio.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: audio {name!r}: {error.strerror}") from None
