"""Silence between the sentences of a turn: no frames of the model, but part of what is heard."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Silences:
    """Where a turn is silent between its frames, in order."""

    found: list[tuple[int, int]] = field(default_factory=list)
    """(frames before it, milliseconds)."""

    def add(self, before_frame: int, duration_ms: int) -> None:
        """So long a silence, when the turn has that many frames."""
        self.found.append((before_frame, duration_ms))

    def heard_frames(self, heard_ms: float, frame_ms: float) -> int:
        """Frames that have begun within the first `heard_ms` of what is heard."""
        at, done_ms = 0, 0.0
        for frame, silence_ms in self.found:
            frames = -int(-(heard_ms - done_ms) // frame_ms)
            if at + frames <= frame:
                return at + max(0, frames)
            done_ms += (frame - at) * frame_ms + silence_ms
            at = frame
            if done_ms >= heard_ms:
                return at
        return at + max(0, -int(-(heard_ms - done_ms) // frame_ms))

    def until(self, num_frames: int) -> Iterator[tuple[int, int]]:
        """Those before the last of the first `num_frames`."""
        return (one for one in self.found if one[0] < num_frames)

    def audio_ms(self, num_frames: int, frame_ms: float) -> int:
        """Milliseconds of the first `num_frames` with the silence before and between them."""
        return round(num_frames * frame_ms) + sum(ms for _, ms in self.until(num_frames))
