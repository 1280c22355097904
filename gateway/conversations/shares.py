"""What each owner has of the memory that all owners share, and who makes room for whom."""

from collections import OrderedDict

from gateway.conversations.conversation import StoredConversation
from gateway.conversations.key import ConversationKey
from gateway.conversations.store import Kept


class Share:
    """The conversations of one owner, the least recently used first."""

    def __init__(self) -> None:
        self.conversations: OrderedDict[ConversationKey, StoredConversation] = OrderedDict()
        self.num_bytes = 0

    @property
    def count(self) -> int:
        """How many conversations."""
        return len(self.conversations)

    def idle(self) -> StoredConversation | None:
        """The least recently used one that no call has."""
        return next((c for c in self.conversations.values() if c.free.is_set()), None)

    def largest(self) -> StoredConversation | None:
        """Of those that have more than their last turn, the one with the most bytes."""
        found = (c for c in self.conversations.values() if len(c.turns) > 1)
        return max(found, key=lambda conversation: conversation.num_bytes, default=None)


class Shares:
    """The shares of all owners. Whoever has most makes room, so that nobody's conversations are
    pushed out by one who has more."""

    def __init__(self) -> None:
        self._of: dict[str, Share] = {}
        self.num_bytes = 0
        """Of all owners."""

    def kept(self, owner: str) -> Kept:
        """How much is here of one owner."""
        share = self._of.get(owner)
        return Kept(share.count, share.num_bytes) if share is not None else Kept()

    def add(self, conversation: StoredConversation) -> None:
        """Takes one in, as the most recently used."""
        share = self._of.setdefault(conversation.owner, Share())
        share.conversations[conversation.key] = conversation

    def remove(self, conversation: StoredConversation) -> None:
        """Lets one go that is here."""
        share = self._of[conversation.owner]
        del share.conversations[conversation.key]
        self.resized(conversation, -conversation.num_bytes)
        if not share.conversations:
            del self._of[conversation.owner]

    def touch(self, conversation: StoredConversation) -> None:
        """It is the most recently used."""
        self._of[conversation.owner].conversations.move_to_end(conversation.key)

    def resized(self, conversation: StoredConversation, num_bytes: int) -> None:
        """It has so many bytes more, or less."""
        self._of[conversation.owner].num_bytes += num_bytes
        self.num_bytes += num_bytes

    def to_forget(self, owner: str, most: int) -> StoredConversation | None:
        """Which one makes room for another of the owner, where `most` are kept: an idle one of
        whoever would have most then; where several would, the owner's own, else the least recently
        used. Another owner never has less than its even part of `most` for it.

        None: those who might make room have all of theirs in use.
        """
        asking = self.kept(owner).count + 1
        even = most // len(self._of.keys() | {owner})
        found, highest = None, (0, False, 0.0)
        for other, share in self._of.items():
            own = other == owner
            count = asking if own else share.count
            if not own and (count < asking or count <= even):
                continue
            if (count, own) >= highest[:2] and (idle := share.idle()) is not None:
                rank = (count, own, -idle.used_at)
                if found is None or rank > highest:
                    found, highest = idle, rank
        return found

    def to_shrink(self) -> StoredConversation | None:
        """Which one gives back bytes: of whoever has most, an idle one, to be forgotten, or else
        the largest, to lose its oldest turns. None: nobody has more than the last turns of
        conversations in use."""
        found, most = None, -1
        for share in self._of.values():
            if share.num_bytes > most and (one := share.idle() or share.largest()) is not None:
                found, most = one, share.num_bytes
        return found
