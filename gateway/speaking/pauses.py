"""Pauses between the sentences of an attempt, put where the sound of the next begins."""

from collections import deque
from collections.abc import Iterator

from gateway.speaking.attempt_events import Silence, Sound


class Pauses:
    """Silence that is to come, and the sound it comes between."""

    def __init__(self, sample_bytes: int) -> None:
        """`sample_bytes` of one sample of all channels."""
        self._sample_bytes = sample_bytes
        self._waiting: deque[tuple[int, int]] = deque()
        """(frames before it, milliseconds)."""
        self._sounded_frames = 0

    def add(self, before_frame: int, duration_ms: int) -> None:
        """So long a silence before that frame is heard."""
        self._waiting.append((before_frame, duration_ms))

    def between(self, pcm: bytes, num_frames: int) -> Iterator[Sound | Silence]:
        """The sound up to `num_frames` decoded in all, parted where there is silence in it."""
        while self._waiting and self._waiting[0][0] < num_frames:
            frame, duration_ms = self._waiting.popleft()
            done = self._sounded_frames
            if frame > done:
                num_samples = len(pcm) // self._sample_bytes
                cut = num_samples * (frame - done) // (num_frames - done) * self._sample_bytes
                yield Sound(pcm[:cut], frame)
                pcm, self._sounded_frames = pcm[cut:], frame
            yield Silence(duration_ms, frame)
        self._sounded_frames = num_frames
        yield Sound(pcm, num_frames)
