"""What a server says of itself: plain values beside the unary answers of `csm.v1`."""

from dataclasses import dataclass
from typing import Any

from csm.v1 import common_pb2, speech_pb2, tokenizer_pb2


def _values(cls: Any, message: Any) -> dict[str, Any]:
    """The fields of a dataclass out of the message that has the same names."""
    return {name: getattr(message, name) for name in cls.__dataclass_fields__}


@dataclass(frozen=True)
class Sampling:
    """How codes are drawn; None: the server does not say."""

    temperature: float | None = None
    depth_temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    min_audio_ms: int | None = None

    @classmethod
    def from_proto(cls, message: common_pb2.Sampling) -> "Sampling":
        """The values of a wire message."""
        values = _values(cls, message)
        return cls(**{k: v for k, v in values.items() if message.HasField(k)})


@dataclass(frozen=True)
class ServerInfo:
    """What a gateway runs."""

    version: str
    model: str
    """Name of the model directory."""
    sample_rate_hz: int
    frame_rate_hz: float
    num_codebooks: int
    max_positions: int
    """Positions of the context."""
    default_voice: str
    max_text_chars: int
    """Longest text in characters."""
    sampling: Sampling
    """Defaults in force."""
    slots: int
    """Turns that are made at once before others wait."""
    digest: str
    """Of the generator's weights."""
    dtype: str
    device: str
    watermark: str = ""
    """Name of the watermark in all audio; empty: there is none."""

    @classmethod
    def from_proto(cls, message: speech_pb2.GetServerInfoResponse) -> "ServerInfo":
        """The values of a wire message."""
        values = _values(cls, message)
        return cls(**values | {"sampling": Sampling.from_proto(message.sampling)})


@dataclass(frozen=True)
class ConversationTurn:
    """A turn of a conversation, as the server keeps it."""

    turn_id: str
    speaker: int
    text: str
    heard: bool
    """True: heard. False: spoken by the server."""
    audio_ms: int
    """Milliseconds of audio kept."""
    unfinished: bool = False
    """Its call went away while it was spoken."""

    @classmethod
    def from_proto(cls, message: speech_pb2.ConversationTurn) -> "ConversationTurn":
        """The values of a wire message."""
        return cls(**_values(cls, message))


@dataclass(frozen=True)
class ConversationInfo:
    """A conversation, as the server keeps it."""

    conversation_id: str
    voice: str
    turns: tuple[ConversationTurn, ...]
    """Oldest first."""

    @classmethod
    def from_proto(cls, message: speech_pb2.GetConversationResponse) -> "ConversationInfo":
        """The values of a wire message."""
        turns = tuple(ConversationTurn.from_proto(one) for one in message.turns)
        return cls(message.conversation_id, message.voice, turns)


@dataclass(frozen=True)
class TokenizerInfo:
    """What codec a tokenizer runs."""

    model: str
    """Name of the model directory."""
    sample_rate_hz: int
    frame_rate_hz: float
    frame_samples: int
    num_codebooks: int
    codebook_size: int
    max_streams: int
    """Streams that advance in one step."""
    max_audio_ms: int
    """Longest recording that is encoded in one call."""
    digest: str
    """Of the codec's weights."""
    dtype: str
    device: str

    @classmethod
    def from_proto(cls, message: tokenizer_pb2.GetTokenizerInfoResponse) -> "TokenizerInfo":
        """The values of a wire message."""
        return cls(**_values(cls, message))
