"""The voices of all owners: each has the common ones and those that it created."""

from collections.abc import Iterator
from itertools import chain

from gateway.voices.voice import LibraryVoice, VoiceId
from gateway.voices.voices import Voices


class OwnedVoices:
    """What each owner's `Voices` are, and where created voices come, change and go."""

    def __init__(self, common: Voices) -> None:
        """`common` are everybody's; they are also the voices of the owner ""."""
        self._common = common
        self._of_owners: dict[str, Voices] = {}

    def of(self, owner: str) -> Voices:
        """The voices of an owner as they are now; not to be kept from call to call."""
        if not owner:
            return self._common
        return self._of_owners.get(owner) or self._common.for_another()

    def all(self) -> Iterator[LibraryVoice]:
        """Everybody's voices, then what other owners created."""
        created = (
            voice
            for voices in list(self._of_owners.values())
            for voice in voices.all()
            if voice.owner
        )
        return chain(self._common.all(), created)

    def put(self, voice: LibraryVoice) -> None:
        """A voice that its owner created, or has changed. A common one of its name stays."""
        self._kept(voice.owner).put(voice)

    def remove(self, voice_id: VoiceId) -> None:
        """A voice that was created is gone; nothing where there is none."""
        voices = self.of(voice_id.owner)
        voices.remove(voice_id.key)
        if not voices.has_created:
            self._of_owners.pop(voice_id.owner, None)

    def set_aside(self, voice_id: VoiceId, why: str) -> None:
        """A voice is kept and cannot be used, which is said to its owner who names it."""
        self._kept(voice_id.owner).set_aside(voice_id.key, why)

    def _kept(self, owner: str) -> Voices:
        if not owner:
            return self._common
        return self._of_owners.setdefault(owner, self._common.for_another())
