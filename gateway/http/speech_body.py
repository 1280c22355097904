"""The body of `POST /v1/audio/speech`: OpenAI's fields, and ours under `csm`.

How it names a voice is how other bodies do.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from csm import errors

OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
ResponseFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
MAX_NAME_CHARS = 256
_NAME = re.compile(r"\w{1,64}", re.ASCII)
MAX_TOLD = 8
"""Fields without a meaning here that a warning names."""
_Body = TypeVar("_Body", bound=BaseModel)


class NamedVoice(BaseModel):
    """A voice as `{"id": NAME}`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    id: Annotated[str, Field(max_length=MAX_NAME_CHARS)]


class VoiceBody(BaseModel):
    """A body that names a voice, whatever else it has."""

    model_config = ConfigDict(strict=True, extra="ignore")

    voice: Annotated[str, Field(max_length=MAX_NAME_CHARS)] | NamedVoice | None = Field(
        None, description="a voice by name; none: the default voice"
    )

    @property
    def voice_name(self) -> str:
        """The voice by name; empty: none was named."""
        if isinstance(self.voice, NamedVoice):
            return self.voice.id
        return self.voice or ""


class SpeechBody(VoiceBody):
    """What is asked. Fields that have no meaning here are let through and warned of."""

    model_config = ConfigDict(strict=True, extra="allow")

    input: str = Field(description="the text, 1..max_text_chars characters")
    model: str = Field("", max_length=MAX_NAME_CHARS, description="one is served, whatever is said")
    instructions: str | None = Field(None, description="taken and not used: CSM knows none")
    response_format: ResponseFormat = Field("mp3", description="what the audio is coded in")
    speed: float = Field(1.0, allow_inf_nan=False, description="pace of the speech; 1: as it is")
    stream_format: Literal["audio", "sse"] = Field(
        "audio", description="audio as it is, or events with audio in base64"
    )
    csm: dict[str, Any] | None = Field(None, description="what only this server knows")


def speech_body(given: Mapping[str, Any]) -> SpeechBody:
    """The body, its types checked; ranges are checked where the wire's are.

    Null says nothing, as OpenAI's clients mean it. Raises `InvalidArgument` naming every field.
    """
    said = {name: value for name, value in given.items() if value is not None}
    return _checked(SpeechBody, said)


def voice_name(given: Mapping[str, Any]) -> str:
    """The voice that a body names; empty: none. Raises `InvalidArgument`."""
    return _checked(VoiceBody, given).voice_name


def _checked(kind: type[_Body], said: Mapping[str, Any]) -> _Body:
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        wrong: dict[str, str] = {}
        for one in error.errors(include_input=False, include_url=False, include_context=False):
            # Of a union each member complains; the field's own name is enough.
            field = str(one["loc"][0]) if one["loc"] else "body"
            wrong.setdefault(field, _told(field, one["type"], one["msg"]))
        raise errors.InvalidArgument(
            *(errors.FieldViolation(field, told) for field, told in wrong.items())
        ) from None


def unused(body: SpeechBody, served_model: str) -> list[str]:
    """What was said that nothing is done with, a few words each, without the caller's own."""
    found = []
    if body.instructions:
        found.append("instructions: not used, this model knows none")
    if body.model and body.model not in (served_model, *OPENAI_MODELS):
        found.append("model: not used, one model is served")
    extra = [name for name in body.model_extra or {} if _NAME.fullmatch(name)]
    found += [f"{name}: not known" for name in extra[:MAX_TOLD]]
    return found


def _told(field: str, kind: str, message: str) -> str:
    if kind == "missing":
        return "is missing"
    if field == "voice":
        return f"must be a string of at most {MAX_NAME_CHARS} characters, or an object with id"
    return message[:1].lower() + message[1:]
