"""What the client gives back: plain values beside the wire messages of `csm.v1`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from csm.audio.pcm import PcmReader, PcmWriter
from csm.client.retry import from_terminal
from csm.errors import ServiceError
from csm.v1 import common_pb2, speech_pb2

Encoding = Literal["u8", "s16", "s24", "s32", "f32"]

_ENCODINGS: dict[Encoding, common_pb2.AudioEncoding] = {
    "u8": common_pb2.AUDIO_ENCODING_PCM_U8,
    "s16": common_pb2.AUDIO_ENCODING_PCM_S16LE,
    "s24": common_pb2.AUDIO_ENCODING_PCM_S24LE,
    "s32": common_pb2.AUDIO_ENCODING_PCM_S32LE,
    "f32": common_pb2.AUDIO_ENCODING_PCM_F32LE,
}
_SAMPLE_BYTES: dict[Encoding, int] = {"u8": 1, "s16": 2, "s24": 3, "s32": 4, "f32": 4}


@dataclass(frozen=True)
class AudioFormat:
    """PCM: little-endian, interleaved. A rate of 0 asks for the model's own."""

    encoding: Encoding = "s16"
    sample_rate_hz: int = 0
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in _ENCODINGS:
            raise ValueError(
                f"encoding: {self.encoding!r} is not allowed; one of {', '.join(_ENCODINGS)}"
            )

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return _SAMPLE_BYTES[self.encoding] * self.channels

    def to_proto(self) -> common_pb2.AudioFormat:
        """The wire message."""
        return common_pb2.AudioFormat(
            encoding=_ENCODINGS[self.encoding],
            sample_rate_hz=self.sample_rate_hz,
            channels=self.channels,
        )

    @classmethod
    def from_proto(cls, message: common_pb2.AudioFormat) -> "AudioFormat":
        """The format of a wire message; raises ValueError where it is not PCM."""
        by_value = {value: name for name, value in _ENCODINGS.items()}
        wire = message.encoding or common_pb2.AUDIO_ENCODING_PCM_S16LE
        if wire not in by_value:
            raise ValueError(f"encoding {wire} of the server is not PCM")
        return cls(by_value[wire], message.sample_rate_hz, message.channels or 1)


class FinishReason(StrEnum):
    """Why a turn ended."""

    EOS = "eos"
    MAX_DURATION = "max_duration"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    SHUTDOWN = "shutdown"
    ERROR = "error"
    UNKNOWN = "unknown"
    """A reason that this client is too old to know."""


class WarningKind(StrEnum):
    """What a warning is about."""

    UNSPEAKABLE = "unspeakable"
    """Not spoken: nothing in it that the model can say."""
    TOO_LONG = "too_long"
    """Not spoken: longer than the model's context."""
    CUT = "cut"
    """Its speech reached the longest audio allowed before it ended."""
    IGNORED = "ignored"
    """A voice or a setting that was named and is not used."""
    RECORDING = "recording"
    """A recording was read differently from what it says of itself, or makes a bad prompt."""
    UNKNOWN = "unknown"
    """A kind that this client is too old to know."""


def finish_reason(value: int) -> FinishReason:
    """The reason behind a number of the wire."""
    name = common_pb2.FinishReason.DESCRIPTOR.values_by_number.get(value)
    known = name.name.removeprefix("FINISH_REASON_") if name else "UNKNOWN"
    return FinishReason.__members__.get(known, FinishReason.UNKNOWN)


@dataclass(frozen=True)
class Usage:
    """What a turn consumed."""

    text_tokens: int = 0
    prompt_frames: int = 0
    reused_frames: int = 0
    generated_frames: int = 0
    audio_ms: int = 0
    evicted_segments: int = 0

    @classmethod
    def from_proto(cls, message: common_pb2.Usage) -> "Usage":
        """The values of a wire message."""
        return cls(**{name: getattr(message, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Timing:
    """Where the time of a turn went, in milliseconds from its acceptance."""

    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    first_frame_ms: float = 0.0
    total_ms: float = 0.0

    @classmethod
    def from_proto(cls, message: common_pb2.Timing) -> "Timing":
        """The values of a wire message."""
        return cls(**{name: getattr(message, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Warning:
    """Something about a turn that is no failure, and the part of its text that it is about."""

    kind: WarningKind
    field: str
    """The field of the request that it is about, e.g. `text`."""
    first_char: int
    """First character of that part in the text as it was given, from 0."""
    end_char: int
    """One past its last character. Equal to `first_char`: the whole turn."""
    description: str
    """A sentence for people, without the caller's words."""

    @classmethod
    def from_proto(cls, message: common_pb2.Warning) -> "Warning":
        """The values of a wire message."""
        name = common_pb2.WarningKind.DESCRIPTOR.values_by_number.get(message.kind)
        known = name.name.removeprefix("WARNING_KIND_") if name else "UNKNOWN"
        return cls(
            WarningKind.__members__.get(known, WarningKind.UNKNOWN),
            message.field,
            message.first_char,
            message.end_char,
            message.description,
        )


@dataclass(frozen=True)
class TurnStarted:
    """A spoken turn has begun."""

    turn_id: str
    format: AudioFormat
    seed: int

    @classmethod
    def from_proto(cls, message: speech_pb2.SpeechTurnStarted) -> "TurnStarted":
        """The values of a wire message."""
        return cls(message.turn_id, AudioFormat.from_proto(message.format), message.seed)


@dataclass(frozen=True)
class AudioChunk:
    """A chunk of speech: PCM bytes in `format`, whole samples."""

    turn_id: str
    pcm: bytes
    format: AudioFormat
    first_sample: int
    """Index of its first sample in the turn."""
    text_chars: int
    """Characters of the turn's text whose sentence has begun by the end of this chunk."""

    @property
    def sample_rate_hz(self) -> int:
        """Samples a second of one channel."""
        return self.format.sample_rate_hz

    @property
    def num_samples(self) -> int:
        """Samples of one channel."""
        return len(self.pcm) // self.format.sample_bytes

    @property
    def duration_s(self) -> float:
        """Seconds of audio."""
        return self.num_samples / self.format.sample_rate_hz

    @property
    def samples(self) -> NDArray[np.float32]:
        """Mono float32 [num_samples], -1..1."""
        return to_float(self.pcm, self.format)

    @classmethod
    def from_proto(cls, message: speech_pb2.SpeechAudio, form: AudioFormat) -> "AudioChunk":
        """The values of a wire message."""
        return cls(message.turn_id, message.audio, form, message.first_sample, message.text_chars)


@dataclass(frozen=True)
class TurnCompleted:
    """A turn is over: exactly one per turn, and no audio after it."""

    turn_id: str
    finish_reason: FinishReason
    usage: Usage
    timing: Timing
    kept_audio_ms: int
    """Milliseconds that stay in the conversation."""
    heard: bool
    """True: a heard turn was taken in. False: a turn was spoken."""
    error: ServiceError | None = None
    """What failed, where `finish_reason` is ERROR; the audio before it is valid."""
    warnings: tuple[Warning, ...] = ()
    """What was left out, cut or read differently, in order of the text."""

    @classmethod
    def from_proto(cls, message: speech_pb2.SpeechTurnCompleted) -> "TurnCompleted":
        """The values of a wire message."""
        return cls(
            message.turn_id,
            finish_reason(message.finish_reason),
            Usage.from_proto(message.usage),
            Timing.from_proto(message.timing),
            message.kept_audio_ms,
            message.heard,
            from_terminal(message.error) if message.HasField("error") else None,
            tuple(Warning.from_proto(one) for one in message.warnings),
        )


@dataclass(frozen=True)
class TurnTruncated:
    """What stays of a turn that was over when a cancel said how much of it was heard."""

    turn_id: str
    """Empty: the cancel found no such turn, and nothing changed."""
    kept_audio_ms: int
    """Milliseconds of its audio that stay in the conversation."""
    kept_text: str
    """Its text that stays."""

    @classmethod
    def from_proto(cls, message: speech_pb2.SpeechTurnTruncated) -> "TurnTruncated":
        """The values of a wire message."""
        return cls(message.turn_id, message.kept_audio_ms, message.kept_text)


@dataclass(frozen=True)
class ConversationStarted:
    """The conversation is open."""

    conversation_id: str
    format: AudioFormat
    """Of the audio sent back."""
    num_turns: int
    voice: str

    @classmethod
    def from_proto(cls, message: speech_pb2.ConverseStarted) -> "ConversationStarted":
        """The values of a wire message."""
        return cls(
            message.conversation_id,
            AudioFormat.from_proto(message.output_format),
            message.num_turns,
            message.voice,
        )


Event = TurnStarted | AudioChunk | TurnCompleted | TurnTruncated


def to_float(pcm: bytes, form: AudioFormat) -> NDArray[np.float32]:
    """PCM bytes as mono float32 [samples]."""
    reader = PcmReader(form.to_proto(), form.sample_rate_hz)
    return np.concatenate([reader.feed(pcm), reader.finish()])


def from_float(samples: NDArray[np.floating], form: AudioFormat) -> bytes:
    """Mono floats [samples] as PCM bytes, rounded and clipped."""
    # The rate is not changed here, so any equal pair will do where the model's own is asked for.
    rate_hz = form.sample_rate_hz or 24_000
    wire = form.to_proto()
    wire.sample_rate_hz = rate_hz
    writer = PcmWriter(wire, rate_hz)
    return writer.feed(np.asarray(samples, np.float32)) + writer.finish()
