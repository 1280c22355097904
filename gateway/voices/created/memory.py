"""The store that needs nothing: created voices live as long as this process."""

from collections.abc import Sequence

from gateway.voices.created.record import VoiceRecord
from gateway.voices.created.store import Change, Changes, exists, full, missing
from gateway.voices.names import key_of
from gateway.voices.voice import VoiceId


class VoiceMemory:
    """A `VoiceStore` in this process."""

    lasting = False

    def __init__(self, max_voices: int) -> None:
        self._max_voices = max_voices
        self._records: dict[VoiceId, VoiceRecord] = {}

    async def start(self) -> None:
        """Nothing is needed."""

    async def stop(self) -> None:
        """Nothing is left."""

    async def changes(self) -> Changes:
        """See `VoiceStore`: nobody else changes anything here."""
        return Changes()

    async def create(self, record: VoiceRecord, recordings: Sequence[bytes]) -> None:
        """See `VoiceStore`."""
        if record.id in self._records:
            raise exists(self._records[record.id].name)
        if len(self._records) >= self._max_voices:
            raise full(self._max_voices)
        self._records[record.id] = record

    async def update(self, name: str, change: Change, *, owner: str = "") -> VoiceRecord:
        """See `VoiceStore`."""
        there = self._records.get(VoiceId(owner, key_of(name)))
        if there is None:
            raise missing(name)
        changed = self._records[there.id] = change(there)
        return changed

    async def delete(self, name: str, *, owner: str = "") -> None:
        """See `VoiceStore`."""
        if self._records.pop(VoiceId(owner, key_of(name)), None) is None:
            raise missing(name)

    async def recordings(self, name: str, *, owner: str = "") -> list[bytes]:
        """See `VoiceStore`: they are not kept."""
        return []
