"""The conversations: who said what, as segments of frames. This store is the truth."""

import asyncio
import contextlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from csm import errors


@dataclass(frozen=True, slots=True)
class Segment:
    """What CSM is prompted with."""

    speaker: int
    text: str
    codes: bytes = b""
    """Packed little-endian uint16, frame-major; empty: text alone."""
    num_frames: int = 0


@dataclass(slots=True)
class Turn:
    """A turn, heard or spoken; one segment for each sentence that was generated in one go."""

    turn_id: str
    speaker: int
    heard: bool
    segments: list[Segment]

    @property
    def text(self) -> str:
        """What was said."""
        return " ".join(s.text for s in self.segments if s.text)

    @property
    def num_frames(self) -> int:
        """Frames in all."""
        return sum(s.num_frames for s in self.segments)

    def truncate(self, num_frames: int) -> None:
        """Keeps the first `num_frames` frames and the text that belongs to them.

        A sentence that is cut keeps its text in proportion, to a whole word; one of which
        nothing is left goes. Frames that are not there are not missed.
        """
        kept: list[Segment] = []
        for segment in self.segments:
            left = num_frames - sum(s.num_frames for s in kept)
            if left <= 0:
                break
            kept.append(cut(segment, left, segment.num_frames))
        self.segments = kept


def new_turn_id() -> str:
    """A name that no other turn has."""
    return uuid.uuid4().hex[:16]


def cut(segment: Segment, num_frames: int, whole_frames: int) -> Segment:
    """The first `num_frames` of a segment that had, or was going to have, `whole_frames`."""
    if num_frames >= segment.num_frames and num_frames >= whole_frames:
        return segment
    num_frames = min(num_frames, segment.num_frames)
    width = len(segment.codes) // segment.num_frames if segment.num_frames else 0
    return Segment(
        segment.speaker,
        cut_text(segment.text, num_frames / whole_frames),
        segment.codes[: num_frames * width],
        num_frames,
    )


def cut_text(text: str, share: float) -> str:
    """The beginning of a text: the whole words nearest to `share` (0..1) of its characters.

    Text without spaces, as Chinese is written, is cut between characters.
    """
    wanted = round(len(text) * min(max(share, 0.0), 1.0))
    if wanted >= len(text):
        return text
    ends = [i for i, c in enumerate(text) if c.isspace()] or list(range(len(text)))
    best = min([0, *ends, len(text)], key=lambda end: abs(end - wanted))
    return text[:best].rstrip()


@dataclass(slots=True)
class Limits:
    """How much of a conversation is kept."""

    max_turns: int
    max_frames: int


@dataclass
class Conversation:
    """An ordered list of turns under one id, with a voice."""

    conversation_id: str
    voice: str
    limits: Limits
    turns: list[Turn] = field(default_factory=list)
    used_at: float = 0.0
    free: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while no call has it."""
    _first_sent: int = 0

    def __post_init__(self) -> None:
        self.free.set()

    def add(self, turn: Turn) -> None:
        """Appends a turn. When a limit is passed the oldest turns go, to three quarters of it.

        All at once rather than one a turn: whatever goes moves the context's beginning, and the
        generator has to compute the rest anew.
        """
        self.turns.append(turn)
        frames = sum(t.num_frames for t in self.turns)
        if len(self.turns) <= self.limits.max_turns and frames <= self.limits.max_frames:
            return
        while len(self.turns) > 1 and (
            len(self.turns) > self.limits.max_turns * 3 // 4
            or frames > self.limits.max_frames * 3 // 4
        ):
            frames -= self.turns.pop(0).num_frames
            self._first_sent = max(0, self._first_sent - 1)

    def truncate(self, turn_id: str, num_frames: int) -> None:
        """Keeps the first frames of a turn; one of which nothing is left goes."""
        for turn in self.turns:
            if turn.turn_id == turn_id:
                turn.truncate(num_frames)
        self.turns = [t for t in self.turns if t.turn_id != turn_id or t.segments]

    def history(self, max_positions: int) -> Iterator[Segment]:
        """Segments to send as context, oldest first.

        Those that no context of `max_positions` could hold are left out; like `add`, in steps,
        so that the beginning moves seldom. One that is longer by itself is never sent: the
        generator would refuse the whole context for it.
        """
        sizes = [
            sum(s.num_frames + len(s.text) // 2 + 4 for s in turn.segments) for turn in self.turns
        ]
        if sum(sizes[self._first_sent :]) > 2 * max_positions:
            while (
                self._first_sent < len(sizes)
                and sum(sizes[self._first_sent :]) > 3 * max_positions // 2
            ):
                self._first_sent += 1
        for turn in self.turns[self._first_sent :]:
            yield from (s for s in turn.segments if s.num_frames <= max_positions)


class ConversationStore:
    """Conversations by id, in this process; the least recently used goes first."""

    def __init__(
        self,
        *,
        max_conversations: int,
        ttl_s: float,
        limits: Limits,
        on_count: Callable[[int], None] = lambda count: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept: OrderedDict[str, Conversation] = OrderedDict()
        self._max = max_conversations
        self._ttl_s = ttl_s
        self._limits = limits
        self._on_count = on_count
        self._clock = clock

    def __len__(self) -> int:
        return len(self._kept)

    def acquire(self, conversation_id: str, voice: str) -> Conversation:
        """The conversation, new or known, for one call alone until `release`.

        `voice` is what a new one gets. Raises `FailedPrecondition` where another call uses it,
        `QueueFull` where every conversation kept is in use.
        """
        self.sweep()
        conversation = self._kept.get(conversation_id)
        if conversation is None:
            self._make_room()
            conversation_id = conversation_id or uuid.uuid4().hex
            conversation = Conversation(conversation_id, voice, self._limits)
            self._kept[conversation_id] = conversation
            self._on_count(len(self._kept))
        elif not conversation.free.is_set():
            raise errors.FailedPrecondition(
                f"conversation {conversation_id!r} is in use by another call"
            )
        conversation.free.clear()
        self._touch(conversation)
        return conversation

    def release(self, conversation: Conversation) -> None:
        """The call is over; one without turns is forgotten."""
        conversation.free.set()
        self._touch(conversation)
        if not conversation.turns:
            self._forget([conversation.conversation_id])

    async def given_back(self, conversation_id: str, timeout_s: float) -> None:
        """Returns when no call has it, or after the timeout."""
        conversation = self._kept.get(conversation_id)
        if conversation is not None and not conversation.free.is_set():
            # Not wait_for: in Python 3.11 it may swallow a cancel.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await conversation.free.wait()

    def voice_of(self, conversation_id: str) -> str:
        """The voice of a conversation; empty where there is none."""
        conversation = self._kept.get(conversation_id)
        return conversation.voice if conversation else ""

    def get(self, conversation_id: str) -> Conversation:
        """The conversation; raises `NotFound`."""
        self.sweep()
        if conversation_id not in self._kept:
            raise errors.NotFound("conversation", conversation_id)
        return self._kept[conversation_id]

    def delete(self, conversation_id: str) -> None:
        """Forgets a conversation; raises `NotFound`, or `FailedPrecondition` while in use."""
        if not self.get(conversation_id).free.is_set():
            raise errors.FailedPrecondition(
                f"conversation {conversation_id!r} is in use by another call"
            )
        self._forget([conversation_id])

    def sweep(self) -> None:
        """Forgets what nobody used for the time to live."""
        oldest = self._clock() - self._ttl_s
        stale: list[str] = []
        for conversation_id, conversation in self._kept.items():
            if conversation.used_at >= oldest:
                break
            if conversation.free.is_set():
                stale.append(conversation_id)
        self._forget(stale)

    def _make_room(self) -> None:
        if len(self._kept) < self._max:
            return
        idle = next((i for i, c in self._kept.items() if c.free.is_set()), None)
        if idle is None:
            raise errors.QueueFull(f"{self._max} conversations are in use, as many as are kept")
        self._forget([idle])

    def _touch(self, conversation: Conversation) -> None:
        conversation.used_at = self._clock()
        self._kept.move_to_end(conversation.conversation_id)

    def _forget(self, conversation_ids: Iterable[str]) -> None:
        for conversation_id in conversation_ids:
            self._kept.pop(conversation_id, None)
        self._on_count(len(self._kept))
