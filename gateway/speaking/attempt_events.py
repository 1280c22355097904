"""What an attempt is given, and what it tells as it goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from csm import errors
from gateway.backends.calls import GenerationOptions
from gateway.commands import StreamFormat
from gateway.conversations.cuts import Cut
from gateway.text.sentence import Sentence


@dataclass(slots=True)
class SpokenSentence:
    """A sentence that was submitted, and its frames."""

    sentence: Sentence
    first_frame: int
    codes: list[bytes] = field(default_factory=list)
    num_frames: int = 0
    whole: bool = False
    """The model itself ended it: the frames are those of the whole text."""


@dataclass(frozen=True)
class AttemptOptions:
    """What is spoken, and within what. `max_frames` ends the whole turn, 0: none."""

    turn_id: str
    generation: GenerationOptions
    form: StreamFormat
    max_frames: int
    timeout_s: float | None
    cuts: Callable[[SpokenSentence], Sequence[Cut]] = lambda _: ()
    """Where the text of a sentence may be cut; none: in proportion."""


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
