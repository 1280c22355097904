"""A conversation: its turns, how much of them is kept, and what of them is sent as context."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from gateway.conversations.key import ConversationKey
from gateway.conversations.segment import Segment, text_bytes
from gateway.conversations.turn import Turn
from gateway.conversations.write_behind import WriteBehind

_OBJECT_BYTES = 2048
"""The object, its event, its list of turns and its place in the store; see `segment`."""


@dataclass(slots=True)
class ConversationLimits:
    """How much of a conversation is kept."""

    max_turns: int
    max_frames: int


@dataclass(eq=False)
class StoredConversation:
    """An ordered list of turns under one id, with a voice."""

    conversation_id: str
    voice: str
    limits: ConversationLimits
    turns: list[Turn] = field(default_factory=list)
    """To read; `add` and `truncate` change them."""
    used_at: float = 0.0
    opened_at: float = 0.0
    """When the call that has it, or had it last, began; both by the store's clock."""
    free: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no call has it."""
    on_resized: Callable[["StoredConversation", int], None] | None = None
    """Told of every change of `num_bytes`, and by how much; None: nobody counts."""
    speaking: Callable[[], Turn] | None = None
    """To read; `being_spoken` changes it."""
    writer: WriteBehind | None = None
    """Writes its turns to a store elsewhere; None: they live in this process alone."""
    owner: str = ""
    """The tenant that it belongs to; "" where identity is off."""
    num_bytes: int = field(default=0, init=False)
    """Bytes of memory that it takes, Python's own share included."""
    _first_sent: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.free.set()
        self.num_bytes = (
            _OBJECT_BYTES + text_bytes(self.conversation_id) + sum(t.num_bytes for t in self.turns)
        )

    @property
    def key(self) -> ConversationKey:
        """What stores keep it under."""
        return ConversationKey(self.owner, self.conversation_id)

    def add(self, turn: Turn) -> None:
        """Appends a turn. When a limit is passed the oldest turns go, to three quarters of it.

        All at once rather than one a turn: whatever goes moves the context's beginning, and the
        generator has to compute the rest anew.
        """
        self.turns.append(turn)
        resized = turn.num_bytes
        frames = sum(t.num_frames for t in self.turns)
        if len(self.turns) > self.limits.max_turns or frames > self.limits.max_frames:
            count = 0
            while count < len(self.turns) - 1 and (
                len(self.turns) - count > self.limits.max_turns * 3 // 4
                or frames > self.limits.max_frames * 3 // 4
            ):
                frames -= self.turns[count].num_frames
                count += 1
            resized -= self._drop(count)
        self._resize(resized)

    def drop_oldest(self, num_bytes: int) -> int:
        """Drops the oldest turns, `num_bytes` of them at least and a quarter of all; returns how
        many bytes went. The last turn stays, however large."""
        aim = max(num_bytes, self.num_bytes // 4)
        count = freed = 0
        while count < len(self.turns) - 1 and freed < aim:
            freed += self.turns[count].num_bytes
            count += 1
        self._resize(-self._drop(count))
        return freed

    def truncate(self, turn_id: str, heard_ms: int, frame_ms: float) -> None:
        """Keeps what was heard of a turn; one of which nothing is left goes."""
        index = next((i for i, t in enumerate(self.turns) if t.turn_id == turn_id), None)
        if index is None:
            return
        turn = self.turns[index]
        before = turn.num_bytes
        turn.truncate(turn.timeline.heard_frames(heard_ms, frame_ms))
        after = turn.num_bytes
        if not turn.segments:
            after = 0
            del self.turns[index]
            if index < self._first_sent:
                self._first_sent -= 1
        self._resize(after - before)

    def take_back(self, turn_id: str) -> None:
        """The last turn, if it is that one, goes on: it is history no more, until it is added."""
        if self.turns and self.turns[-1].turn_id == turn_id:
            turn = self.turns.pop()
            self._first_sent = min(self._first_sent, len(self.turns))
            self._resize(-turn.num_bytes)

    def history(self, max_positions: int) -> Iterator[Segment]:
        """Segments to send as context, oldest first.

        Those that no context of `max_positions` could hold are left out; like `add`, in steps,
        so that the beginning moves seldom. One that is longer by itself is never sent, as the
        generator would refuse the whole context for it, and takes no other's place.
        """
        sendable = [
            [s for s in turn.segments if s.num_frames <= max_positions]
            for turn in self.turns[self._first_sent :]
        ]
        sizes = [sum(s.num_frames + len(s.text) // 2 + 4 for s in turn) for turn in sendable]
        skipped = 0
        if sum(sizes) > 2 * max_positions:
            excess = sum(sizes) - 3 * max_positions // 2
            skipped = 1 + bisect_left(list(accumulate(sizes)), excess)
            self._first_sent += skipped
        for turn in sendable[skipped:]:
            yield from turn

    def restore(self, turns: list[Turn]) -> None:
        """Puts the turns that a store has before its own. No limit takes any of them away."""
        self.turns[:0] = turns
        self._resize(sum(turn.num_bytes for turn in turns))

    def being_spoken(self, so_far: Callable[[], Turn] | None) -> None:
        """A turn is being spoken, of which `so_far` gives what was delivered; None: it is over."""
        self.speaking = so_far
        if self.writer is not None:
            self.writer.changed()

    async def unsaved(self) -> str:
        """Why what was said up to now is not in the store; empty: it is. Waits for a second at the
        most."""
        return "" if self.writer is None else await self.writer.unsaved()

    def _drop(self, count: int) -> int:
        """Drops the first `count` turns; returns their bytes."""
        freed = sum(turn.num_bytes for turn in self.turns[:count])
        del self.turns[:count]
        self._first_sent = max(0, self._first_sent - count)
        return freed

    def _resize(self, num_bytes: int) -> None:
        self.num_bytes += num_bytes
        if not num_bytes:
            return
        if self.on_resized is not None:
            self.on_resized(self, num_bytes)
        if self.writer is not None:
            self.writer.changed()
