"""The speakers that a model directory names, in its optional `voices.json`.

    {"voices": [{"name": "heart", "speaker": 0, "description": "female, US"}]}

A model knows the speakers that it was trained on, and makes noise of other numbers; where they are
named, only they are allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from csm.limits import MAX_SPEAKER

FILE_NAME = "voices.json"
MAX_FILE_BYTES = 1 << 20


class ModelVoice(BaseModel):
    """One speaker: its name, its number, and a line about it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][\w.-]*$")]
    speaker: Annotated[int, Field(ge=0, le=MAX_SPEAKER)]
    description: Annotated[str, Field(max_length=500)] = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    voices: Annotated[tuple[ModelVoice, ...], Field(min_length=1, max_length=1024, strict=False)]

    @model_validator(mode="after")
    def _unique(self) -> _File:
        for what in ("name", "speaker"):
            values = [getattr(voice, what) for voice in self.voices]
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{what}: {twice[0]!r} is there twice; each only once")
        return self


def load_voices(directory: Path) -> tuple[ModelVoice, ...]:
    """The named speakers of a model directory; none where it has no `voices.json`.

    Raises:
        ValueError: the file is broken; says in which field and why.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        return ()
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise ValueError(f"{path}: {size} bytes; at most {MAX_FILE_BYTES} are allowed")
    try:
        return _File.model_validate_json(path.read_bytes()).voices
    except ValidationError as error:
        raise ValueError(f"{path}: {'; '.join(_faults(error))}") from None


def allowed_speakers(voices: tuple[ModelVoice, ...]) -> str:
    """What may be asked for, for an error: "0 (heart), 1 (michael)"."""
    return ", ".join(f"{voice.speaker} ({voice.name})" for voice in voices)


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False):
        where = ".".join(map(str, fault["loc"]))
        yield f"{where}: {fault['msg']}" if where else fault["msg"]
