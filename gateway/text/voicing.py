"""Who speaks the sentences of a turn, as far as a text can say."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.text.lexicon import Lexicon
from gateway.text.limits import Limits


@dataclass(frozen=True, slots=True)
class SpeakingVoice:
    """A voice, and how it says words."""

    name: str = ""
    speaker: int | None = None
    """Its speaker number; None: the turn's."""
    lexicon: Lexicon = field(default_factory=lambda: Lexicon({}))
    """The operator's, the voice's and the call's entries."""


class VoiceRefused(Exception):
    """A voice cannot speak in this turn; says why, as a sentence without an end."""


@dataclass(frozen=True)
class Voicing:
    """The voices of one turn."""

    own: SpeakingVoice
    """Speaks where the text names nobody."""
    find: Callable[[str], SpeakingVoice]
    """The voice of a name that the text gives; raises `VoiceRefused`."""
    limits: Callable[[], Limits]
    """What a sentence may be beside the prompts of all voices so far."""
    must_know: bool = False
    """Whether the text is refused for a voice that cannot speak; else the turn's own speaks."""

    @classmethod
    def alone(cls, lexicon: Lexicon, limits: Limits) -> "Voicing":
        """One voice speaks, whoever is named."""
        own = SpeakingVoice(lexicon=lexicon)
        return cls(own, lambda name: own, lambda: limits)
