"""What the client gives back: plain values beside the wire messages of `csm.v1`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csm.audio.opus_pages import opus_samples
from csm.client.formats import AudioFormat, to_float
from csm.client.retry import from_terminal
from csm.errors import ServiceError
from csm.finish_reason import FinishReason as FinishReason
from csm.v1 import common_pb2, speech_pb2
from csm.warning_kind import WarningKind as WarningKind


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
    failovers: int = 0

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
class WordTime:
    """When a word is spoken, estimated."""

    first_char: int
    """First character of the word in the turn's text as it was given, from 0."""
    end_char: int
    """One past its last character."""
    start_ms: int
    """Milliseconds from the turn's first sample to the word's beginning."""
    end_ms: int
    """Milliseconds from the turn's first sample to its end."""
    word: str
    """The word as written."""

    @classmethod
    def from_proto(cls, message: speech_pb2.WordTime) -> "WordTime":
        """The values of a wire message."""
        return cls(**{name: getattr(message, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class AudioChunk:
    """A chunk of speech: bytes in `format`, whole samples; of ogg_opus whole pages of Ogg."""

    turn_id: str
    pcm: bytes
    """The bytes, also where they are not PCM."""
    format: AudioFormat
    first_sample: int
    """Index of its first sample in the turn."""
    text_chars: int
    """Characters of the turn's text whose sentence has begun by the end of this chunk."""
    words: tuple[WordTime, ...] = ()
    """Those that begin in it, where `word_times` was asked for."""

    @property
    def sample_rate_hz(self) -> int:
        """Samples a second of one channel."""
        return self.format.sample_rate_hz

    @property
    def num_samples(self) -> int:
        """Samples of one channel."""
        if self.format.encoding == "ogg_opus":
            return opus_samples(self.pcm, self.sample_rate_hz)
        return len(self.pcm) // self.format.sample_bytes

    @property
    def duration_s(self) -> float:
        """Seconds of audio."""
        return self.num_samples / self.format.sample_rate_hz

    @property
    def samples(self) -> NDArray[np.float32]:
        """Mono float32 [num_samples], -1..1. Raises ValueError for ogg_opus."""
        return to_float(self.pcm, self.format)

    @classmethod
    def from_proto(cls, message: speech_pb2.SpeechAudio, form: AudioFormat) -> "AudioChunk":
        """The values of a wire message."""
        words = tuple(map(WordTime.from_proto, message.words))
        return cls(
            message.turn_id, message.audio, form, message.first_sample, message.text_chars, words
        )


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
