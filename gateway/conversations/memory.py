"""Conversations kept in this process, within a number and a budget of bytes that owners share."""

import asyncio
import contextlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable

from csm import errors
from gateway.conversations.conversation import ConversationLimits, StoredConversation
from gateway.conversations.key import ConversationKey
from gateway.conversations.shares import Shares
from gateway.conversations.store import InUse, Kept


class ConversationMemory:
    """Conversations in the memory of this process. Of the owner who has most the least recently
    used goes first.

    `max_bytes` holds for all conversations together. Idle ones are forgotten for it, then the
    largest of those in use loses its oldest turns, both of the owner who has most. The last turn of
    a conversation in use is never dropped, so the budget may be passed by as much as those take.
    """

    def __init__(
        self,
        *,
        max_conversations: int,
        max_bytes: int,
        ttl_s: float,
        limits: ConversationLimits,
        on_count: Callable[[int], None] = lambda count: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept: OrderedDict[ConversationKey, StoredConversation] = OrderedDict()
        self._shares = Shares()
        self._max = max_conversations
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self.limits = limits
        self._on_count = on_count
        self._clock = clock

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def num_bytes(self) -> int:
        """Bytes of memory that all conversations take."""
        return self._shares.num_bytes

    def kept(self, owner: str) -> Kept:
        """How much is here of one owner."""
        return self._shares.kept(owner)

    def acquire(self, conversation_id: str, voice: str, *, owner: str = "") -> StoredConversation:
        """The owner's conversation, new or known, for one call alone until `release`.

        `voice` is what a new one gets. Raises `FailedPrecondition` where another call uses it,
        `QueueFull` where none can make room: all are in use, or those that are idle are of owners
        who have less.
        """
        self.sweep()
        conversation = self._kept.get(ConversationKey(owner, conversation_id))
        if conversation is None:
            self._make_room(owner)
            conversation = StoredConversation(
                conversation_id or uuid.uuid4().hex, voice, self.limits, owner=owner
            )
            self._keep(conversation)
        elif not conversation.free.is_set():
            raise self._in_use(conversation)
        else:
            conversation.free.clear()
            self._touch(conversation)
        conversation.opened_at = self._clock()
        return conversation

    def release(self, conversation: StoredConversation) -> None:
        """The call is over; one without turns is forgotten, of one that was forgotten nothing is
        left."""
        conversation.free.set()
        if self._kept.get(conversation.key) is not conversation:
            return
        self._touch(conversation)
        if not conversation.turns:
            self.forget(conversation)

    async def given_back(self, conversation_id: str, timeout_s: float, *, owner: str = "") -> None:
        """Returns when no call has it, or after the timeout."""
        conversation = self._kept.get(ConversationKey(owner, conversation_id))
        if conversation is not None and not conversation.free.is_set():
            # Not wait_for: in Python 3.11 it may swallow a cancel.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await conversation.free.wait()

    def found(self, conversation_id: str, *, owner: str = "") -> StoredConversation | None:
        """The owner's conversation; None where there is none."""
        self.sweep()
        return self._kept.get(ConversationKey(owner, conversation_id))

    def keys(self) -> list[ConversationKey]:
        """Of all, the least recently used first."""
        self.sweep()
        return list(self._kept)

    def ids(self, *, owner: str = "") -> list[str]:
        """Of the owner's, the least recently used first."""
        return [key.conversation_id for key in self.keys() if key.owner == owner]

    def forget(self, conversation: StoredConversation) -> None:
        """Forgets it whoever has it; one that is not kept any more: nothing."""
        if self._kept.get(conversation.key) is conversation:
            self._forget([conversation.key])

    def get(self, conversation_id: str, *, owner: str = "") -> StoredConversation:
        """The owner's conversation; raises `NotFound`."""
        conversation = self.found(conversation_id, owner=owner)
        if conversation is None:
            raise errors.NotFound("conversation", conversation_id)
        return conversation

    def delete(self, conversation_id: str, *, owner: str = "") -> None:
        """Forgets a conversation; raises `NotFound`, or `FailedPrecondition` while in use."""
        conversation = self.get(conversation_id, owner=owner)
        if not conversation.free.is_set():
            raise self._in_use(conversation)
        self._forget([conversation.key])

    def sweep(self) -> None:
        """Forgets what nobody used for the time to live."""
        oldest = self._clock() - self._ttl_s
        stale: list[ConversationKey] = []
        for key, conversation in self._kept.items():
            if conversation.used_at >= oldest:
                break
            if conversation.free.is_set():
                stale.append(key)
        self._forget(stale)

    def _make_room(self, owner: str) -> None:
        if len(self._kept) < self._max:
            return
        idle = self._shares.to_forget(owner, self._max)
        if idle is None:
            raise errors.QueueFull(
                f"{self._max} conversations are kept, as many as may be, and none can make room: "
                "yours are in use"
            )
        self._forget([idle.key])

    def _keep(self, conversation: StoredConversation) -> None:
        """Keeps a new one, in use from the start: the budget is not to take it away again."""
        conversation.free.clear()
        self._kept[conversation.key] = conversation
        self._shares.add(conversation)
        self._touch(conversation)
        conversation.on_resized = self._resized
        self._resized(conversation, conversation.num_bytes)
        self._on_count(len(self._kept))

    def _resized(self, conversation: StoredConversation, num_bytes: int) -> None:
        self._shares.resized(conversation, num_bytes)
        if num_bytes > 0:
            self._keep_to_budget()

    def _keep_to_budget(self) -> None:
        while (excess := self.num_bytes - self._max_bytes) > 0:
            found = self._shares.to_shrink()
            if found is None:
                return
            if found.free.is_set():
                self._forget([found.key])
            else:
                # In use, like all that its owner has.
                found.drop_oldest(excess)

    def _touch(self, conversation: StoredConversation) -> None:
        conversation.used_at = self._clock()
        self._kept.move_to_end(conversation.key)
        self._shares.touch(conversation)

    def _forget(self, keys: Iterable[ConversationKey]) -> None:
        for key in keys:
            conversation = self._kept.pop(key, None)
            if conversation is not None:
                # Whoever still holds it may change it: that is nothing of ours any more.
                conversation.on_resized = None
                self._shares.remove(conversation)
        self._on_count(len(self._kept))

    def _in_use(self, conversation: StoredConversation) -> InUse:
        return InUse(conversation.conversation_id, self._clock() - conversation.opened_at)
