"""The voices that a gateway knows, as they are now."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from csm import errors
from gateway.voices.names import key_of
from gateway.voices.voice import LibraryVoice, speaker_problem, told


@dataclass
class _Created:
    """What one owner has made, by name in lower case."""

    voices: dict[str, LibraryVoice] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    ordered: list[LibraryVoice] | None = None
    """All voices that the owner has, the common ones too; None: not put in order yet."""


class Voices:
    """The voices of one owner by name, whatever its case, and by alias.

    The model's and the operator's are there from the start, and everybody's; those that the owner
    created come, change and go (`put`, `remove`). Of other owners' nothing is known here.
    """

    def __init__(
        self,
        voices: Mapping[str, LibraryVoice],
        default: str,
        speakers: Mapping[int, str] | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """`speakers` are those that the model names, by number; empty: any number speaks.
        `aliases` are names and the voices that they stand for."""
        self._common = {key_of(name): voice for name, voice in voices.items()}
        self._created = _Created()
        self._speakers = dict(speakers or {})
        self._default = default
        self.aliases = dict(aliases or {})
        self._targets = {key_of(alias): voice for alias, voice in self.aliases.items()}

    def for_another(self) -> "Voices":
        """The voices of an owner who has created none yet."""
        another = Voices({}, self._default)
        another._common, another._speakers = self._common, self._speakers
        another.aliases, another._targets = self.aliases, self._targets
        return another

    @property
    def has_created(self) -> bool:
        """Whether anything is known of voices that the owner created."""
        return bool(self._created.voices or self._created.unusable)

    @property
    def default(self) -> str:
        """Name of the voice used where none is named."""
        voice = self.find(self._default)
        return self._default if voice is None else voice.name

    def all(self) -> list[LibraryVoice]:
        """In order of name, whatever its case."""
        if self._created.ordered is None:
            there = self._common | self._created.voices
            self._created.ordered = [there[key] for key in sorted(there)]
        return self._created.ordered

    def find(self, name: str) -> LibraryVoice | None:
        """The voice of that name or alias; None: there is none."""
        key = key_of(name)
        voice = self._named(key)
        if voice is None and key in self._targets:
            voice = self._named(key_of(self._targets[key]))
        return voice

    def _named(self, key: str) -> LibraryVoice | None:
        return self._common.get(key) or self._created.voices.get(key)

    def get(self, name: str) -> LibraryVoice:
        """The voice of that name or alias, the default for an empty one.

        Raises `NotFound`, or `FailedPrecondition` for one that is kept and cannot be used.
        """
        wanted = name or self._default
        voice = self.find(wanted)
        if voice is not None:
            return voice
        key = key_of(self._targets.get(key_of(wanted), wanted))
        if key in self._created.unusable:
            raise errors.FailedPrecondition(f"voice {wanted[:64]!r}: {self._created.unusable[key]}")
        known = told([one.name for one in self.all()])
        if key_of(wanted) in self._targets:
            known = f"it is an alias of {self._targets[key_of(wanted)]!r}; known are {known}"
        else:
            known = f"known are {known}"
        raise errors.NotFound("voice", wanted[:64], known)

    def get_kept(self, name: str, kept: str) -> LibraryVoice:
        """As `get`, for a call that names `name`, or else goes on with a conversation whose voice
        is `kept`. One that was deleted since is never replaced in silence."""
        if name or not kept or self.find(kept) is not None:
            return self.get(name or kept)
        try:
            return self.get(kept)
        except errors.NotFound as error:
            raise errors.NotFound(
                "voice",
                error.resource_name,
                "the conversation had it, and it is gone; name another",
            ) from None

    def aliases_of(self, voice: LibraryVoice) -> list[str]:
        """The other names of a voice, in order."""
        key = key_of(voice.name)
        found = (alias for alias, name in self.aliases.items() if key_of(name) == key)
        return sorted(alias for alias in found if self._named(key_of(alias)) is None)

    def check_speaker(self, field: str, speaker: int) -> None:
        """Raises `InvalidArgument` about `field` where the model names its speakers and this is
        none of them: it was not trained on any other, and would babble."""
        if not self.speaks(speaker):
            raise errors.invalid(field, speaker_problem(speaker, self._speakers))

    def speaks(self, speaker: int) -> bool:
        """Whether the model has that speaker."""
        return not self._speakers or speaker in self._speakers

    @property
    def first_speaker(self) -> int:
        """The speaker of a voice that names none: 0, or the first that the model names."""
        return 0 if not self._speakers or 0 in self._speakers else min(self._speakers)

    def speaker_problem(self, speaker: int) -> str:
        """Why a speaker that the model has not is refused."""
        return speaker_problem(speaker, self._speakers)

    def listener_of(self, speaker: int) -> int:
        """Who is heard beside that speaker where a call does not say: the next number, or the next
        speaker of those that the model names."""
        if not self._speakers:
            return speaker + 1
        return min(self._speakers, key=lambda number: (number <= speaker, number))

    # --- what is created ---

    def taken_by(self, name: str) -> str | None:
        """What has that name already, as a clause; None: it is free."""
        key = key_of(name)
        voice = self._named(key)
        if voice is not None:
            return f"there is a voice {voice.name!r} already, {voice.origin.value}"
        if key in self._targets:
            return f"it is an alias of the voice {self._targets[key]!r}"
        return None

    def put(self, voice: LibraryVoice) -> None:
        """A voice that was created, or has changed. One of the model's or the operator's stays."""
        key = key_of(voice.name)
        self._created.unusable.pop(key, None)
        if key not in self._common:
            self._created.voices[key] = voice
            self._created.ordered = None

    def remove(self, name: str) -> None:
        """A voice that was created is gone; nothing where there is none."""
        key = key_of(name)
        self._created.unusable.pop(key, None)
        if self._created.voices.pop(key, None) is not None:
            self._created.ordered = None

    def set_aside(self, name: str, why: str) -> None:
        """A voice is kept and cannot be used, which is said to who names it."""
        self.remove(name)
        self._created.unusable[key_of(name)] = why

    def why_unusable(self, name: str) -> str | None:
        """Why a voice that is kept cannot be used; None: it can, or there is none."""
        return self._created.unusable.get(key_of(name))
