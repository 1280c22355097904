"""voice.json, as `docs/voices.md` describes it, and the recordings beside it."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from csm.lexicon_file import MAX_ENTRY_CHARS
from csm.limits import MAX_AUDIO_MS, MAX_SPEAKER, MAX_TEMPERATURE, MAX_TOP_K
from gateway.commands import SamplingOptions
from gateway.voices.names import ALLOWED, is_name

FILE_NAME = "voice.json"
MAX_RECORDING_BYTES = 32 << 20
MAX_PROMPTS = 16
MAX_TEXT_CHARS = 4096
MAX_DESCRIPTION_CHARS = 1000
MAX_STATEMENT_CHARS, MAX_GIVEN_BY_CHARS = 4096, 256
LANGUAGE = r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}"
"""A BCP 47 tag, as far as its form tells."""

Word = Annotated[str, Field(min_length=1, max_length=MAX_ENTRY_CHARS)]
Spelling = Annotated[str, Field(min_length=1, max_length=MAX_ENTRY_CHARS)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PromptFile(_Strict):
    """A recording and its words."""

    audio: str = Field(min_length=1)
    text: str = Field(min_length=1, max_length=MAX_TEXT_CHARS)


class SamplingFile(_Strict):
    """How codes are drawn where a call does not say; see `csm.v1.Sampling`."""

    temperature: float | None = Field(None, ge=0, le=MAX_TEMPERATURE)
    depth_temperature: float | None = Field(None, ge=0, le=MAX_TEMPERATURE)
    top_k: int | None = Field(None, ge=0, le=MAX_TOP_K)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0, lt=1 << 64)
    min_audio_ms: int | None = Field(None, ge=0, le=MAX_AUDIO_MS)

    def options(self) -> SamplingOptions:
        """As calls have it."""
        return SamplingOptions(**self.model_dump())


class ConsentFile(_Strict):
    """Who allowed that a voice is made of a recording."""

    statement: str = Field(min_length=1, max_length=MAX_STATEMENT_CHARS)
    given_by: str = Field(min_length=1, max_length=MAX_GIVEN_BY_CHARS)


class VoiceFile(_Strict):
    """The content of voice.json."""

    speaker: int = Field(ge=0, le=MAX_SPEAKER)
    description: str = Field("", max_length=MAX_DESCRIPTION_CHARS)
    language: str = Field("", pattern=f"^({LANGUAGE})?$")
    sampling: SamplingFile | None = None
    consent: ConsentFile | None = None
    lexicon: dict[Word, Spelling] = Field(default_factory=dict, max_length=1024)
    prompts: list[PromptFile] = Field(default_factory=list, max_length=MAX_PROMPTS)


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
    if not is_name(name):
        raise ValueError(f"{path}: {name!r} is no name for a voice; allowed are {ALLOWED}")
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
