"""What callers ask of the gateway, as plain data that has been checked (see `messages`)."""

from collections.abc import Sequence
from dataclasses import dataclass

from csm.audio.pcm import BYTES_PER_SAMPLE, FLOAT_ENCODING
from gateway.sound.options import AS_SET, UNTOUCHED, Processing, SoundRules
from gateway.text.options import TextRules


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """A complete PCM format: `encoding` is a value of `csm.v1.AudioEncoding`."""

    encoding: int
    sample_rate_hz: int
    channels: int

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return BYTES_PER_SAMPLE[self.encoding] * self.channels  # type: ignore[index]

    @property
    def bytes_per_s(self) -> int:
        """Bytes of a second of audio."""
        return self.sample_bytes * self.sample_rate_hz

    @property
    def worked_on(self) -> "StreamFormat":
        """Mono float32 at the same rate."""
        return StreamFormat(FLOAT_ENCODING, self.sample_rate_hz, 1)


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How codes are drawn; None is left to the model. See `csm.v1.Sampling`."""

    temperature: float | None = None
    depth_temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    min_audio_ms: int | None = None

    def over(self, other: "SamplingOptions") -> "SamplingOptions":
        """These, and the other's where these say nothing."""
        return SamplingOptions(
            *(
                getattr(other if getattr(self, name) is None else self, name)
                for name in self.__dataclass_fields__
            )
        )


@dataclass(frozen=True)
class ContextEntry:
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
    context: Sequence[ContextEntry]
    speaker: int | None
    sampling: SamplingOptions
    max_audio_ms: int
    form: StreamFormat
    max_lead_ms: int
    text_rules: TextRules
    sound: SoundRules = AS_SET
    word_times: bool = False


@dataclass(frozen=True)
class ConverseOptions:
    """How a conversation is to go."""

    conversation_id: str
    voice: str
    sampling: SamplingOptions
    max_audio_ms: int
    output: StreamFormat
    input: StreamFormat
    max_lead_ms: int
    heard_speaker: int | None
    text: TextRules
    sound: SoundRules = AS_SET
    word_times: bool = False
    processing: Processing = UNTOUCHED
    """What the sound rules come to with the conversation's voice."""


@dataclass(frozen=True)
class TurnOptions:
    """How a turn is spoken."""

    speaker: int
    form: StreamFormat
    sampling: SamplingOptions
    max_audio_ms: int = 0
    """Of the whole turn; 0: the model's default for each sentence."""
    max_lead_ms: int = 0
    conversation_id: str = ""
    """The generator's key for its KV cache: `generator_key` of the owner and the id."""
    in_conversation: bool = False
    """Part of a `Converse` call: what fails before the turn has started ends the turn with a
    terminal, not the call with a status."""
    sound: Processing = UNTOUCHED
    """What is done to its sound."""
    word_times: bool = False
    """The client is told when words are spoken."""
    owner: str = ""
    """Whose turn it is."""


@dataclass(frozen=True)
class HeardPart:
    """Audio of the other side."""

    pcm: bytes


@dataclass(frozen=True)
class TextPart:
    """Text to speak; by which voice, empty: the conversation's."""

    text: str
    voice: str = ""


@dataclass(frozen=True)
class Flush:
    """Speak the text that is there."""


@dataclass(frozen=True)
class EndOfTurn:
    """What was heard, or is to be spoken, is complete."""

    heard_text: str


@dataclass(frozen=True)
class Cancel:
    """Barge-in."""

    turn_id: str
    heard_ms: int | None


@dataclass(frozen=True)
class Resume:
    """Go on with the last turn, which another call left unfinished. `heard_ms` of it were heard,
    None: all that is kept."""

    turn_id: str
    heard_ms: int | None


Command = HeardPart | TextPart | Flush | EndOfTurn | Cancel | Resume
