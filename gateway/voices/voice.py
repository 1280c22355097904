"""A voice, and the voices that a gateway knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from csm import errors
from gateway.conversations.segment import Segment
from gateway.text.lexicon import Lexicon

MAX_TOLD = 16
"""Speakers that a refusal names."""


@dataclass(frozen=True)
class LibraryVoice:
    """A name, a speaker number, prompt segments pinned at the start of the context."""

    name: str
    speaker: int
    description: str = ""
    prompts: tuple[Segment, ...] = ()
    lexicon: Lexicon = field(default_factory=lambda: Lexicon({}))
    """How this voice says words."""


class Voices:
    """Voices by name."""

    def __init__(
        self,
        voices: dict[str, LibraryVoice],
        default: str,
        speakers: Mapping[int, str] | None = None,
    ) -> None:
        """`speakers` are those that the model names, by number; empty: any number speaks."""
        self._voices = voices
        self._speakers = dict(speakers or {})
        self.default = default

    def all(self) -> list[LibraryVoice]:
        """In order of name."""
        return [self._voices[name] for name in sorted(self._voices)]

    def get(self, name: str) -> LibraryVoice:
        """The voice of that name, the default for an empty one; raises `NotFound`."""
        voice = self._voices.get(name or self.default)
        if voice is None:
            known = ", ".join(sorted(self._voices))
            raise errors.NotFound("voice", name[:64], f"known are {known}")
        return voice

    def check_speaker(self, field: str, speaker: int) -> None:
        """Raises `InvalidArgument` about `field` where the model names its speakers and this is
        none of them: it was not trained on any other, and would babble."""
        if self._speakers and speaker not in self._speakers:
            raise errors.invalid(field, speaker_problem(speaker, self._speakers))

    def listener_of(self, speaker: int) -> int:
        """Who is heard beside that speaker where a call does not say: the next number, or the next
        speaker of those that the model names."""
        if not self._speakers:
            return speaker + 1
        return min(self._speakers, key=lambda number: (number <= speaker, number))


def speaker_problem(speaker: int, speakers: Mapping[int, str]) -> str:
    """Why a speaker that is not among `speakers` is refused."""
    told = [f"{number} ({speakers[number]})" for number in sorted(speakers)[:MAX_TOLD]]
    more = f" and {len(speakers) - MAX_TOLD} more" if len(speakers) > MAX_TOLD else ""
    return f"{speaker} is no speaker of this model; allowed are {', '.join(told)}{more}"
