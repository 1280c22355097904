"""JSON into the messages of `csm.v1`, which `gateway.messages` then checks like those of gRPC.

The one place here that knows protobuf: what a field may be is read from the wire's own
definition, so that HTTP has each field by its name there, and no rule of it is written twice.
"""

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from csm import errors
from csm.audio.wav import wav_header
from csm.v1 import common_pb2, speech_pb2
from gateway import voice_messages
from gateway.backends.convert import audio_format
from gateway.commands import Command, ConverseOptions, StreamFormat, Synthesis
from gateway.http.errors import violations_of
from gateway.http.json_fields import (
    field_schema,
    fill,
    fill_one,
    object_schema,
    schema,
    short_name,
)
from gateway.messages import Checker
from gateway.text.options import TextRules
from gateway.violations import Violations
from gateway.voices.created.asked import NewVoice

SAMPLING = tuple(field.name for field in common_pb2.Sampling.DESCRIPTOR.fields)
SPEECH_EXTRAS = (
    "conversation_id",
    "speaker",
    "max_audio_ms",
    "max_lead_ms",
    "text_options",
    "sound_options",
)
"""Fields of SynthesizeRequest that the object `csm` may have, beside those of Sampling."""
SAMPLE_RATE = "sample_rate_hz"
_NAMES = {"text": "input", "voice": "voice"}
_SPEED = "sound_options.speed"
"""What OpenAI's `speed` is on the wire."""
COMMANDS = ("text", "flush", "end_of_turn", "cancel", "resume")
"""What a message of a WebSocket may be, after its config, of those that gRPC has too."""


def synthesis(
    checker: Checker,
    rules: TextRules,
    *,
    text: str,
    voice: str,
    speed: float,
    encoding: str,
    rate_hz: int,
    extras: Mapping[str, Any],
) -> Synthesis:
    """A request to speak, checked.

    `encoding` is one of AudioEncoding without its prefix; `rate_hz` holds where `extras`, the
    object `csm`, names none. Raises `InvalidArgument` that names the fields as JSON has them.
    """
    found = Violations()
    request = speech_pb2.SynthesizeRequest()
    fill_one(request, "text", text, "input", found)
    fill_one(request, "voice", voice, "voice", found)
    if speed != 1:
        request.sound_options.speed = speed
    number: Any = common_pb2.AudioEncoding.Value(f"AUDIO_ENCODING_{encoding}")
    request.format.encoding = number
    request.format.sample_rate_hz = rate_hz
    given = {name: value for name, value in extras.items() if name not in (*SAMPLING, SAMPLE_RATE)}
    sampling = {name: value for name, value in extras.items() if name in SAMPLING}
    rate = {SAMPLE_RATE: extras[SAMPLE_RATE]} if SAMPLE_RATE in extras else {}
    if sampling:
        fill(request.sampling, sampling, "csm", found)
    fill(request.format, rate, "csm", found)
    fill(request, given, "csm", found, allowed=(*SPEECH_EXTRAS, *SAMPLING, SAMPLE_RATE))
    found.raise_any()
    try:
        return checker.synthesis(request, rules)
    except errors.InvalidArgument as error:
        own = "speed" in (extras.get("sound_options") or {})
        raise renamed(error, speed=f"csm.{_SPEED}" if own else "speed") from None


def opening(checker: Checker, message: Mapping[str, Any], rules: TextRules) -> ConverseOptions:
    """The conversation that a first message asks for. Raises `InvalidArgument`."""
    config = speech_pb2.ConverseConfig()
    found = Violations()
    fill(config, _without_type(message), "config", found)
    found.raise_any()
    return checker.opening(config, rules)


def output_is_opus(message: Mapping[str, Any]) -> bool:
    """Whether a first message that was checked asks for Ogg Opus."""
    form = message.get("output_format") or {}
    return form.get("encoding") == "ogg_opus"


def command(checker: Checker, message: Mapping[str, Any]) -> Command:
    """What a later message asks for. Raises `InvalidArgument`."""
    kind = message.get("type")
    if kind == "config":
        raise errors.invalid("config", "was sent a second time; allowed is once, first")
    if not isinstance(kind, str) or kind not in COMMANDS:
        raise errors.invalid("type", f"is not known; allowed are {', '.join(COMMANDS)}")
    request = speech_pb2.ConverseRequest()
    part: Message = getattr(request, kind)
    part.SetInParent()
    found = Violations()
    fill(part, _without_type(message), kind, found)
    found.raise_any()
    return checker.command(request)


def heard(checker: Checker, audio: bytes) -> Command:
    """Audio of the other side. Raises `InvalidArgument`."""
    return checker.command(
        speech_pb2.ConverseRequest(heard_audio=speech_pb2.ConverseHeardAudio(audio=audio))
    )


def text_to_prepare(
    checker: Checker, given: Mapping[str, Any], rules: TextRules
) -> tuple[str, str, TextRules]:
    """Text, voice's name and rules; raises `InvalidArgument`. The text may be named `input` too."""
    data = dict(given)
    name = "text" if "text" in data or "input" not in data else "input"
    if "input" in data:
        data.setdefault("text", data.pop("input"))
    names = {"text": name, "body.text": name, "body.voice": "voice"}
    request = speech_pb2.PrepareTextRequest()
    found = Violations()
    fill(request, data, "body", found)
    try:
        found.raise_any()
        return checker.text_to_prepare(request, rules)
    except errors.InvalidArgument as error:
        raise errors.InvalidArgument(
            *(
                errors.FieldViolation(names.get(v.field, v.field), v.description)
                for v in violations_of(error)
            )
        ) from None


def new_voice(name: str, extras: Mapping[str, Any]) -> NewVoice:
    """The voice that a form asks for; `extras` is its object `csm`. Raises `InvalidArgument`."""
    config = speech_pb2.CreateVoiceConfig()
    found = Violations()
    fill_one(config, "name", name, "name", found)
    allowed = [field.name for field in config.DESCRIPTOR.fields if field.name != "name"]
    fill(config, extras, "csm", found, allowed)
    found.raise_any()
    try:
        return voice_messages.new_voice(config)
    except errors.InvalidArgument as error:
        raise renamed_of_voice(error) from None


def renamed_of_voice(error: errors.InvalidArgument) -> errors.InvalidArgument:
    """An error about a voice that is made, its fields named as they are in the form."""

    def renamed(field: str) -> str:
        if part := re.fullmatch(r"recordings(\[\d+\])\.(text|audio)", field):
            return f"{'text' if part[2] == 'text' else 'file'}{part[1]}"
        if field == "recordings":
            return "file"
        field = field.removeprefix("config.")
        return field if field == "name" else f"csm.{field}"

    return errors.InvalidArgument(
        *(errors.FieldViolation(renamed(v.field), v.description) for v in violations_of(error))
    )


def voice_name(name: str) -> str:
    """The name of a voice, or an alias; raises `InvalidArgument`."""
    return voice_messages.voice_name(name)


def encoding_named(form: StreamFormat) -> str:
    """A format's encoding as JSON says it, such as `pcm_s16le`."""
    return short_name(common_pb2.AudioEncoding.DESCRIPTOR, form.encoding)


def wav_front(form: StreamFormat, num_samples: int | None = None) -> bytes:
    """The front of a WAV of so many samples of one channel; None: that is not known yet."""
    data_bytes = None if num_samples is None else num_samples * form.sample_bytes
    return wav_header(audio_format(form), data_bytes)


def pcm_format(rate_hz: int) -> StreamFormat:
    """PCM_S16LE, mono."""
    return StreamFormat(common_pb2.AUDIO_ENCODING_PCM_S16LE, rate_hz, 1)


def opus_encoding() -> int:
    """The value of AudioEncoding that `gateway.speaking.opus_stream` is told."""
    return common_pb2.AUDIO_ENCODING_OGG_OPUS


def renamed(error: errors.InvalidArgument, speed: str = "speed") -> errors.InvalidArgument:
    """An error about a SynthesizeRequest, its fields named as they are in JSON.

    `speed` is where the caller said the pace.
    """
    return errors.InvalidArgument(
        *(
            errors.FieldViolation(_renamed(v.field, speed), v.description)
            for v in violations_of(error)
        )
    )


def _renamed(field: str, speed: str) -> str:
    if field == _SPEED:
        return speed
    if field == SAMPLE_RATE:
        return f"csm.{field}"
    if field in _NAMES:
        return _NAMES[field]
    for prefix in ("sampling.", "format."):
        if field.startswith(prefix):
            return f"csm.{field.removeprefix(prefix)}"
    known = field.partition(".")[0] in SPEECH_EXTRAS
    return f"csm.{field}" if known else field


# --- what a message may have, as JSON Schema ---


def speech_extras_schema() -> dict[str, Any]:
    """Of the object `csm`."""
    fields = speech_pb2.SynthesizeRequest.DESCRIPTOR.fields_by_name
    properties = {name: field_schema(fields[name]) for name in SPEECH_EXTRAS}
    for field in common_pb2.Sampling.DESCRIPTOR.fields:
        properties[field.name] = field_schema(field)
    rate = common_pb2.AudioFormat.DESCRIPTOR.fields_by_name[SAMPLE_RATE]
    properties[SAMPLE_RATE] = field_schema(rate)
    return object_schema(properties)


def text_options_schema() -> dict[str, Any]:
    """Of what is done to a text."""
    return schema(speech_pb2.TextOptions.DESCRIPTOR)


def new_voice_schema() -> dict[str, Any]:
    """Of the object `csm` of a voice that is made."""
    fields = speech_pb2.CreateVoiceConfig.DESCRIPTOR.fields
    return object_schema({f.name: field_schema(f) for f in fields if f.name != "name"})


def message_schemas() -> dict[str, dict[str, Any]]:
    """Of the messages that a WebSocket takes, by their type."""
    config = schema(speech_pb2.ConverseConfig.DESCRIPTOR)
    fields = speech_pb2.ConverseRequest.DESCRIPTOR.fields_by_name
    return {"config": config, **{name: schema(fields[name].message_type) for name in COMMANDS}}


def _without_type(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "type"}
