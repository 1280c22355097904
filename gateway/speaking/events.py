"""What a call sends back: plain data that `messages` turns into protobuf."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from csm.errors import ServiceError
from csm.finish_reason import FinishReason as FinishReason
from csm.warning_kind import WarningKind as WarningKind
from gateway.commands import StreamFormat
from gateway.marks.spoken_word import SpokenWord


@dataclass(frozen=True, slots=True)
class TurnWarning:
    """Something that is no failure. Characters [first_char, end_char) of the caller's text."""

    kind: WarningKind
    field: str
    first_char: int
    end_char: int
    description: str


@dataclass(frozen=True, slots=True)
class TurnUsage:
    """What a turn consumed; see `csm.v1.Usage`."""

    text_tokens: int = 0
    prompt_frames: int = 0
    reused_frames: int = 0
    generated_frames: int = 0
    audio_ms: int = 0
    evicted_segments: int = 0
    failovers: int = 0

    def plus(self, other: "TurnUsage") -> "TurnUsage":
        """Both together."""
        names = self.__slots__
        return replace(self, **{n: getattr(self, n) + getattr(other, n) for n in names})


@dataclass(frozen=True, slots=True)
class TurnTiming:
    """Where the time of a turn went, in milliseconds; see `csm.v1.Timing`."""

    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    first_frame_ms: float = 0.0
    total_ms: float = 0.0
    decode_ms: float = 0.0
    """From the first frame to its sound; only HTTP and WebSocket tell it."""


@dataclass(slots=True)
class ConversationOpened:
    """The conversation is open."""

    conversation_id: str
    form: StreamFormat
    num_turns: int
    voice: str


@dataclass(slots=True)
class SpeechTurnStarted:
    """A spoken turn has its slot."""

    turn_id: str
    form: StreamFormat
    seed: int


@dataclass(slots=True)
class Audio:
    """A chunk of a spoken turn."""

    source: "AudioSource"
    pcm: bytes
    first_sample: int
    num_frames: int
    """Frames of the turn decoded by the end of this chunk."""
    text_chars: int
    duration_s: float
    words: Sequence[SpokenWord] = ()
    """Those that begin in it, once it is on its way."""

    @property
    def turn_id(self) -> str:
        """The turn it belongs to."""
        return self.source.turn_id


@dataclass(slots=True)
class SpeechTurnCompleted:
    """A turn is over. `error` says what failed where the reason is ERROR."""

    turn_id: str
    finish_reason: FinishReason
    usage: TurnUsage
    timing: TurnTiming
    kept_audio_ms: int
    heard: bool
    error: ServiceError | None = None
    warnings: list[TurnWarning] = field(default_factory=list)


@dataclass(slots=True)
class SpeechTurnTruncated:
    """What stays of a turn that was over when a cancel said how much of it was heard."""

    turn_id: str
    kept_audio_ms: int
    kept_text: str


Event = ConversationOpened | SpeechTurnStarted | Audio | SpeechTurnCompleted | SpeechTurnTruncated


class AudioSource(Protocol):
    """Who made a chunk: asked when it may leave, told when it leaves and when it has left."""

    turn_id: str

    def codes(self, first_frame: int, end_frame: int) -> bytes:
        """Packed codes of the turn's frames [first_frame, end_frame), as far as there are any."""

    def delay_s(self, audio: Audio) -> float:
        """Seconds to wait before the chunk may leave; <= 0: none."""

    def taken(self, audio: Audio) -> None:
        """The chunk is on its way: whatever happens now, it counts as sent."""

    def written(self, audio: Audio) -> None:
        """The client's connection took the chunk."""
