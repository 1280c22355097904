"""What an attempt is given, and what it tells as it goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from csm import errors
from gateway.backends.calls import GenerationOptions
from gateway.commands import StreamFormat
from gateway.conversations.cuts import Cut
from gateway.deadline import left_s
from gateway.speaking.joined_voices import JoinedVoices
from gateway.speaking.resumed import Resumed
from gateway.speaking.spoken_sentences import SpokenSentence
from gateway.text.sentence import Sentence


@dataclass(frozen=True)
class AttemptOptions:
    """What is spoken, and within what. `form` is what the tokenizer makes; `max_frames` ends the
    whole turn, 0: none; `deadline` is a time of the monotonic clock."""

    turn_id: str
    generation: GenerationOptions
    form: StreamFormat
    max_frames: int
    deadline: float | None
    ahead_frames: int
    """Frames that may be decoded ahead of what the client has taken."""
    joined: JoinedVoices = field(default_factory=JoinedVoices)
    resumed: Resumed | None = None
    """What there is of it already; None: nothing."""
    cuts: Callable[[SpokenSentence], Sequence[Cut]] = lambda _: ()
    """Where the text of a sentence may be cut; none: in proportion."""
    lead_s: Callable[[], float] = lambda: 0.0
    """Seconds of sound that the listener has in hand."""

    def left_s(self) -> float | None:
        """Seconds that a call which opens now may take."""
        return left_s(self.deadline)


@dataclass(frozen=True, slots=True)
class Began:
    """The first sentence has its slot."""

    seed: int


@dataclass(frozen=True, slots=True)
class Sound:
    """PCM, and the frames decoded by its end."""

    pcm: bytes
    num_frames: int


@dataclass(frozen=True, slots=True)
class Silence:
    """A pause, when the turn has that many frames."""

    duration_ms: int
    num_frames: int


@dataclass(frozen=True, slots=True)
class EndedEarly:
    """A sentence whose speech is far too short for its text."""

    sentence: Sentence
    audio_ms: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A sentence that the model cannot say, and what it says of it."""

    sentence: Sentence
    error: errors.ServiceError


@dataclass(frozen=True, slots=True)
class ReachedCap:
    """A sentence that was cut at the longest audio that a sentence may have."""

    sentence: Sentence
    audio_ms: int


AttemptEvent = Began | Sound | Silence | Skipped | ReachedCap | EndedEarly
