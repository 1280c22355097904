"""A turn of a conversation, heard or spoken."""

import uuid
from dataclasses import dataclass, field

from gateway.conversations.segment import Segment, cut
from gateway.conversations.timeline import Timeline

_OBJECT_BYTES = 384
"""The object, its id, its list of segments and its place in the conversation's; see `segment`."""

_PAUSE_BYTES = 128


@dataclass(frozen=True, slots=True)
class Unfinished:
    """With what a turn that was broken off goes on."""

    seed: int
    """What its first sentence was drawn with, as its start said."""
    cut_seed: int | None
    """What the sentence was drawn with that its frames break off in; None: they end with one."""


@dataclass(slots=True)
class Turn:
    """A turn, heard or spoken; one segment for each sentence that was generated in one go."""

    turn_id: str
    speaker: int
    heard: bool
    segments: list[Segment]
    timeline: Timeline = field(default_factory=Timeline)
    """Of the audio that was sent of it; of a heard turn its frames' own."""
    unfinished: Unfinished | None = None
    """Its call went away while it was spoken; None: it came to its end."""
    stored_as: object = field(default=None, compare=False, repr=False)
    """A store's own mark for what it has of it; None: nothing, or the turn was cut since."""

    @property
    def text(self) -> str:
        """What was said, as it was written."""
        return " ".join(s.as_written for s in self.segments if s.as_written)

    @property
    def num_frames(self) -> int:
        """Frames in all."""
        return sum(s.num_frames for s in self.segments)

    @property
    def num_bytes(self) -> int:
        """Bytes of memory that it takes, Python's own share included."""
        pauses = _PAUSE_BYTES * len(self.timeline.pauses)
        return _OBJECT_BYTES + pauses + sum(s.num_bytes for s in self.segments)

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
        self.stored_as = self.unfinished = None
        self.timeline = self.timeline.until(self.num_frames)

    def audio_ms(self, frame_ms: float) -> int:
        """Milliseconds of its audio as it was sent, pauses between sentences included."""
        return self.timeline.audio_ms(self.num_frames, frame_ms)


def new_turn_id() -> str:
    """A name that no other turn has."""
    return uuid.uuid4().hex[:16]
