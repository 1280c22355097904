"""Where a turn's frames are in the audio that was sent: its pauses, its pace, what was cut."""

import math
from dataclasses import dataclass, field, replace

ROUNDING_MS = 1.0
"""What a client that counts in whole milliseconds may be short of at the end."""


@dataclass(slots=True)
class Timeline:
    """Frames and milliseconds of one spoken turn.

    Frames follow each other at the model's pace; what is heard of them is `speed` times as fast,
    begins `skipped_ms` into them, and is parted by pauses.
    """

    pauses: list[tuple[int, int]] = field(default_factory=list)
    """(frames before it, milliseconds), in order: silence that is no frames of the model."""
    speed: float = 1.0
    skipped_ms: float = 0.0
    """Milliseconds of the first frames that were not sent, at the model's pace."""
    end_frames: int = 0
    """Frames of the whole turn where the last of them were not sent; 0: they were."""
    cut_ms: float = 0.0
    """Milliseconds of the last frames that were not sent, at the model's pace."""

    @property
    def plain(self) -> bool:
        """Whether frames and pauses are all there is to it."""
        return self.speed == 1.0 and not self.skipped_ms and not self.end_frames

    def add(self, before_frame: int, duration_ms: int) -> None:
        """So long a pause, when the turn has that many frames."""
        self.pauses.append((before_frame, duration_ms))

    def heard_frames(self, heard_ms: float, frame_ms: float) -> int:
        """Frames that have begun within the first `heard_ms` of what is heard; all of them at its
        end, also those that were cut."""
        paused_ms = 0.0
        for frame, duration_ms in self.pauses:
            begins_ms = self._sound_ms(frame * frame_ms, frame_ms) + paused_ms
            if heard_ms <= begins_ms:
                break
            paused_ms += duration_ms
            if heard_ms <= begins_ms + duration_ms:
                return frame
        sound_ms = heard_ms - paused_ms
        if sound_ms <= 0:
            return 0
        at_ms = sound_ms * self.speed + self.skipped_ms
        if self.end_frames:
            left_ms = self.end_frames * frame_ms - self.cut_ms - at_ms
            if left_ms <= ROUNDING_MS * (1 + self.speed):
                return self.end_frames
        return math.ceil(round(at_ms / frame_ms, 6))

    def sent_ms(self, sound_ms: float, frame_ms: float) -> float:
        """Milliseconds of sent audio before the moment `sound_ms` of the frames' own time; where a
        pause begins there, behind it."""
        frame = sound_ms / frame_ms
        paused_ms = sum(ms for before, ms in self.pauses if before <= frame)
        return self._sound_ms(sound_ms, frame_ms) + paused_ms

    def audio_ms(self, num_frames: int, frame_ms: float) -> int:
        """Milliseconds of the first `num_frames` with the pauses before and between them."""
        paused_ms = sum(ms for before, ms in self.pauses if before < num_frames)
        return round(self._sound_ms(num_frames * frame_ms, frame_ms)) + paused_ms

    def until(self, num_frames: int) -> "Timeline":
        """That of the first `num_frames`."""
        part = replace(self, pauses=[one for one in self.pauses if one[0] < num_frames])
        return part if num_frames >= self.end_frames else replace(part, end_frames=0, cut_ms=0.0)

    def _sound_ms(self, sound_ms: float, frame_ms: float) -> float:
        if self.end_frames:
            sound_ms = min(sound_ms, self.end_frames * frame_ms - self.cut_ms)
        return max(0.0, sound_ms - self.skipped_ms) / self.speed
