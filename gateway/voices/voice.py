"""A voice: a name, a speaker number, prompt segments pinned at the start of the context."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from gateway.commands import SamplingOptions
from gateway.conversations.segment import Segment
from gateway.text.lexicon import Lexicon
from gateway.voices.names import key_of

MAX_TOLD = 16
"""Speakers, or names, that a refusal tells."""


class VoiceId(NamedTuple):
    """What a voice is known by where those of all owners are: names are unique to an owner."""

    owner: str
    """The tenant that made it; "" where identity is off, and for voices that are everybody's."""
    key: str
    """The name in lower case."""


class VoiceOrigin(Enum):
    """Where a voice comes from; the names are those of `csm.v1.VoiceSource`."""

    MODEL = "the model's"
    OPERATOR = "the operator's"
    CREATED = "created"


@dataclass(frozen=True, slots=True)
class Consent:
    """Who allowed that a voice is made of a recording."""

    statement: str
    given_by: str


@dataclass(frozen=True, slots=True)
class RecordingQuality:
    """What is known of a recording that a voice is prompted with."""

    audio_ms: int
    """Milliseconds that are used of it."""
    loudness_lufs: float
    peak_dbfs: float
    noise_dbfs: float
    warnings: tuple[str, ...] = ()
    """What is odd about it, a sentence each, without its words."""


@dataclass(frozen=True)
class LibraryVoice:
    """A voice as calls use it. It does not change: who has it keeps it to the end of a call."""

    name: str
    speaker: int
    description: str = ""
    prompts: tuple[Segment, ...] = ()
    lexicon: Lexicon = field(default_factory=lambda: Lexicon({}))
    """How this voice says words."""
    language: str = ""
    """BCP 47; empty: not said. Of texts whose call names none."""
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    """How its codes are drawn where a call does not say."""
    origin: VoiceOrigin = VoiceOrigin.OPERATOR
    qualities: tuple[RecordingQuality, ...] = ()
    """Of each prompt."""
    consent: Consent | None = None
    updated_unix_s: int = 0
    """0: not known."""
    owner: str = ""
    """The tenant whose voice it is; "": everybody's, or identity is off."""

    @property
    def id(self) -> VoiceId:
        """What tells it from all other voices."""
        return VoiceId(self.owner, key_of(self.name))


def speaker_problem(speaker: int, speakers: Mapping[int, str]) -> str:
    """Why a speaker that is not among `speakers` is refused."""
    named = [f"{number} ({speakers[number]})" for number in sorted(speakers)]
    return f"{speaker} is no speaker of this model; allowed are {told(named)}"


def told(names: list[str]) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - MAX_TOLD} more" if len(names) > MAX_TOLD else ""
    return ", ".join(names[:MAX_TOLD]) + more
