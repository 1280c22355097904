"""The voices of a conversation: who is who by number, and the prompts before all that was said.

CSM tells speakers apart by number alone. Where the model names its speakers the numbers are theirs.
Elsewhere a voice of the library has any number, often 0, so each voice of a conversation gets one
of its own: the first keeps its own number, and so do others whose number is free; the rest get the
next that is. Prompts and history carry these numbers, and a conversation keeps them, as each
spoken segment names its voice.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count

from csm.errors import FailedPrecondition, NotFound, shortened
from gateway.conversations.segment import Segment
from gateway.voices.voice import LibraryVoice

MAX_VOICES = 8
"""Of one conversation: all have their prompts in the context."""
_TURN_SHARE = 2
"""The generator leaves so much of the context, a half, to a turn."""
_SENTENCE_CHARS = 200
"""The sentence that has to fit beside the prompts, as for each voice by itself."""
_TEMPLATE_POSITIONS = 8
"""What CSM's template puts around a text."""
_MAX_TOLD_CHARS = 500
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class NotInCast(Exception):
    """A voice cannot speak here; says why, as a clause."""


@dataclass(frozen=True, slots=True)
class CastVoice:
    """A voice under the number that it has here, as its prompts have."""

    voice: LibraryVoice
    speaker: int
    prompts: tuple[Segment, ...]

    @classmethod
    def of(cls, voice: LibraryVoice, speaker: int) -> "CastVoice":
        """With its prompts renumbered."""
        prompts = tuple(
            p if p.speaker == speaker else replace(p, speaker=speaker) for p in voice.prompts
        )
        return cls(voice, speaker, prompts)


@dataclass(frozen=True, slots=True)
class CastRules:
    """What voices there are, and what the model is."""

    find: Callable[[str], LibraryVoice]
    """The library's voice of a name; raises `NotFound`, or `FailedPrecondition` for one that cannot
    be used."""
    fixed: bool
    """Whether the model names its speakers, so that no number may change."""
    max_positions: int
    """Of the model's context."""
    by_characters: bool = False
    """Whether the model's text tokenizer has a position for each character."""

    @property
    def room(self) -> int:
        """Positions for the prompts of all voices."""
        half = self.max_positions - self.max_positions // _TURN_SHARE
        return max(0, half - self._text_positions("x" * _SENTENCE_CHARS))

    def positions(self, prompts: Iterable[Segment]) -> int:
        """About what prompts take of the context, rather too much."""
        return sum(p.num_frames + 1 + self._text_positions(p.text) for p in prompts)

    def _text_positions(self, text: str) -> int:
        # English has four characters a token. No tokenizer makes more of a text than it has bytes.
        plain = text.isascii() and not self.by_characters
        return (len(text) // 2 if plain else len(text.encode())) + _TEMPLATE_POSITIONS


class Cast:
    """The voices of one conversation, the conversation's own first, then others as they first
    spoke. It only grows, and may be read by any thread while one lets voices in."""

    def __init__(
        self,
        own: LibraryVoice,
        rules: CastRules,
        history: Iterable[Segment] = (),
        taken: Iterable[int] = (),
    ) -> None:
        """`history` is what was said before; `taken` are numbers of other speakers."""
        spoke: dict[str, int] = {}
        heard: set[int] = set()
        for segment in history:
            if segment.voice:
                spoke.setdefault(segment.voice, segment.speaker)
            else:
                heard.add(segment.speaker)
        self._rules = rules
        self._numbers = spoke
        self._taken = heard | set(taken)
        self._listener: int | None = None
        self.own = CastVoice.of(own, self._number(own, first=not spoke))
        self._voices: tuple[CastVoice, ...] = (self.own,)
        self.prompts: tuple[Segment, ...] = ()
        """Of all voices, in their order; another object when another voice has joined."""
        self.positions = 0
        """About what they take of the context."""
        self._settle()
        for name in list(spoke):
            self._welcome_back(name)

    @property
    def voices(self) -> tuple[CastVoice, ...]:
        """Those whose prompts are in the context."""
        return self._voices

    def voice(self, name: str) -> CastVoice:
        """The voice of that name, or of that alias; lets it in. Raises `NotInCast`."""
        try:
            found = self._rules.find(name) if name else self.own.voice
        except (NotFound, FailedPrecondition) as unknown:
            # A voice that is kept and cannot be used is treated like one that is not known.
            raise NotInCast(_told(unknown, name)) from None
        for known in self._voices:
            if known.voice.name == found.name:
                return known
        if len(self._voices) >= MAX_VOICES:
            raise NotInCast(
                f"voice {found.name!r} would be one more than the {MAX_VOICES} that a conversation "
                "may have"
            )
        room, wanted = self._rules.room, self.positions + self._rules.positions(found.prompts)
        if found.prompts and wanted > room:
            raise NotInCast(
                f"the prompts of voice {found.name!r} and of those before it take about {wanted} "
                f"positions; allowed are {room} of the model's {self._rules.max_positions}"
            )
        joined = CastVoice.of(found, self._number(found))
        self._voices = (*self._voices, joined)
        self._settle()
        return joined

    def hear(self, wanted: int, *, asked: bool) -> int:
        """The number of who is heard: `wanted`, which is as it is where the caller `asked` for it;
        else one that no voice here has. No voice that joins later gets it."""
        numbers = set(self._numbers.values())
        if not asked and not self._rules.fixed and wanted in numbers:
            before = sorted(self._taken - numbers)
            wanted = before[0] if before else self._free(wanted)
        self._taken.add(wanted)
        return wanted

    # --- inside ---

    def _number(self, voice: LibraryVoice, *, first: bool = False) -> int:
        if self._rules.fixed:
            number = voice.speaker
        elif voice.name in self._numbers:
            number = self._numbers[voice.name]
        elif first:
            number = voice.speaker
        else:
            number = self._free(voice.speaker)
        self._numbers[voice.name] = number
        return number

    def _free(self, wanted: int) -> int:
        """`wanted` or, where somebody has it, the first number that nobody has."""
        used = self._taken | set(self._numbers.values())
        return wanted if wanted not in used else next(n for n in count() if n not in used)

    def _welcome_back(self, name: str) -> None:
        """A voice that spoke before; one that is gone, or has no room any more, keeps its number
        alone."""
        try:
            self.voice(name)
        except NotInCast:
            return

    def _settle(self) -> None:
        prompts = tuple(prompt for one in self._voices for prompt in one.prompts)
        self.positions = self._rules.positions(prompts)
        self.prompts = prompts


def _told(unknown: NotFound | FailedPrecondition, name: str) -> str:
    told = unknown.message
    if not _NAME.fullmatch(name):
        # No name of a voice, so it may be words of the text.
        told = "a voice of that name" + "".join(told.rpartition(" is not known")[1:])
    return shortened(told, _MAX_TOLD_CHARS)
