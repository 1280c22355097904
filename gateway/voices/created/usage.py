"""How much is kept of created voices, in all and of each owner."""

from gateway.voices.voice import VoiceId


class VoiceUsage:
    """Counts voices, and the bytes that those take which are in memory."""

    def __init__(self) -> None:
        self._num_bytes: dict[VoiceId, int] = {}
        self._of_owners: dict[str, tuple[int, int]] = {}
        self.total_bytes = 0
        """Of all owners' voices."""

    def __len__(self) -> int:
        return len(self._num_bytes)

    def of(self, voice_id: VoiceId) -> int:
        """Bytes of one voice; 0 where there is none."""
        return self._num_bytes.get(voice_id, 0)

    def count(self, owner: str) -> int:
        """How many voices an owner has, those among them that cannot be used now."""
        return self._of_owners.get(owner, (0, 0))[0]

    def num_bytes(self, owner: str) -> int:
        """Bytes of an owner's voices."""
        return self._of_owners.get(owner, (0, 0))[1]

    def put(self, voice_id: VoiceId, num_bytes: int) -> None:
        """A voice takes so many bytes now; 0: it cannot be used, and is not in memory."""
        self.drop(voice_id)
        self._num_bytes[voice_id] = num_bytes
        self._add(voice_id.owner, 1, num_bytes)

    def drop(self, voice_id: VoiceId) -> None:
        """A voice is gone; nothing where there was none."""
        if voice_id in self._num_bytes:
            self._add(voice_id.owner, -1, -self._num_bytes.pop(voice_id))

    def _add(self, owner: str, voices: int, num_bytes: int) -> None:
        self.total_bytes += num_bytes
        count, before = self._of_owners.get(owner, (0, 0))
        if count + voices:
            self._of_owners[owner] = count + voices, before + num_bytes
        else:
            self._of_owners.pop(owner, None)
