"""What callers ask of the gateway, as plain data that has been checked (see `checks`)."""

from collections.abc import Sequence
from dataclasses import dataclass

from csm.v1 import common_pb2


@dataclass(frozen=True)
class ContextTurn:
    """A turn given as context: a file to encode, or frames, or text alone."""

    field: str
    speaker: int
    text: str
    audio_file: bytes = b""
    codes: bytes = b""
    num_frames: int = 0


@dataclass(frozen=True)
class Synthesis:
    """A text to speak."""

    text: str
    voice: str
    conversation_id: str
    context: Sequence[ContextTurn]
    speaker: int | None
    sampling: common_pb2.Sampling
    max_audio_ms: int
    form: common_pb2.AudioFormat
    max_lead_ms: int


@dataclass(frozen=True)
class ConverseOptions:
    """How a conversation is to go."""

    conversation_id: str
    voice: str
    sampling: common_pb2.Sampling
    max_audio_ms: int
    output: common_pb2.AudioFormat
    input: common_pb2.AudioFormat
    max_lead_ms: int
    heard_speaker: int | None


@dataclass(frozen=True)
class TurnOptions:
    """How a turn is spoken."""

    speaker: int
    form: common_pb2.AudioFormat
    """Complete: encoding, rate and channels."""
    sampling: common_pb2.Sampling
    max_audio_ms: int = 0
    """Of the whole turn; 0: the model's default for each sentence."""
    max_lead_ms: int = 0
    conversation_id: str = ""
    """The generator's key for its KV cache."""
    errors_in_band: bool = False
    """A backend that fails ends the turn with a terminal, not the call with a status."""


@dataclass(frozen=True)
class HeardPart:
    """Audio of the other side."""

    pcm: bytes


@dataclass(frozen=True)
class TextPart:
    """Text to speak."""

    text: str


@dataclass(frozen=True)
class EndOfTurn:
    """What was heard, or is to be spoken, is complete."""

    heard_text: str


@dataclass(frozen=True)
class Cancel:
    """Barge-in."""

    turn_id: str
    heard_ms: int | None


Command = HeardPart | TextPart | EndOfTurn | Cancel
