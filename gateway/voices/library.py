"""The voices: the model's own, and those of a folder NAME/voice.json with recordings."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from csm import errors
from gateway.backends.backends import Backends
from gateway.conversations.store import Segment
from gateway.hearing.encoding import encode_file

FILE_NAME = "voice.json"
PROMPT_TIMEOUT_S = 60.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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
    prompts: list[PromptFile] = Field(default_factory=list, max_length=16)


@dataclass(frozen=True)
class Voice:
    """A name, a speaker number, prompt segments pinned at the start of the context."""

    name: str
    speaker: int
    description: str = ""
    prompts: tuple[Segment, ...] = ()


class Voices:
    """Voices by name."""

    def __init__(self, voices: dict[str, Voice], default: str) -> None:
        self._voices = voices
        self.default = default

    def all(self) -> list[Voice]:
        """In order of name."""
        return [self._voices[name] for name in sorted(self._voices)]

    def get(self, name: str) -> Voice:
        """The voice of that name, the default for an empty one; raises `NotFound`."""
        voice = self._voices.get(name or self.default)
        if voice is None:
            known = ", ".join(sorted(self._voices))
            raise errors.NotFound("voice", name[:64], f"known are {known}")
        return voice


async def load_voices(backends: Backends, directory: Path | None, default: str) -> Voices:
    """The model's own voice (speaker 0) and those of the directory, their prompts encoded.

    Raises `ValueError` naming the file and what is wrong with it.
    """
    own = Voice(backends.info.generator.model or "default", 0, "the model's own voice")
    voices = {own.name: own}
    if directory is not None:
        for path in _files(directory):
            voice = await _load(backends, path)
            voices[voice.name] = voice
    if default and default not in voices:
        raise ValueError(
            f"default_voice {default!r}: no such voice; there are {', '.join(sorted(voices))}"
        )
    return Voices(voices, default or own.name)


def _files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise ValueError(f"voices_directory {directory}: is not a directory")
    return sorted(directory.glob(f"*/{FILE_NAME}"))


def _read(path: Path) -> tuple[VoiceFile, list[tuple[Path, bytes]]]:
    """The voice file at `path`, and its recordings in order; raises `ValueError`."""
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
    recordings = []
    for prompt in content.prompts:
        audio = (path.parent / prompt.audio).resolve()
        if not audio.is_relative_to(path.parent.resolve()):
            raise ValueError(f"{path}: audio {prompt.audio!r} lies outside the voice's folder")
        try:
            recordings.append((audio, audio.read_bytes()))
        except OSError as error:
            raise ValueError(f"{path}: audio {prompt.audio!r}: {error.strerror}") from None
    return content, recordings


async def _load(backends: Backends, path: Path) -> Voice:
    content, recordings = await asyncio.to_thread(_read, path)
    prompts = []
    for prompt, (audio, data) in zip(content.prompts, recordings, strict=True):
        try:
            frames = await encode_file(backends, data, str(audio), PROMPT_TIMEOUT_S)
        except errors.InvalidArgument as error:
            raise ValueError(f"{path}: {error.message}") from None
        prompts.append(Segment(content.speaker, prompt.text, frames.codes, frames.num_frames))
    return Voice(path.parent.name, content.speaker, content.description, tuple(prompts))
