"""Which moment of a turn's audio belongs to which frame: silence between sentences has no frames,
and audio that is sped up or trimmed has more or fewer of them a second than the model makes."""

from array import array
from bisect import bisect_left, bisect_right


class FrameTimes:
    """The chunks of a turn's audio: the frames and the samples by the end of each."""

    def __init__(self, sample_rate_hz: int, frame_ms: float) -> None:
        """`frame_ms` is what a frame is taken to last where there is no audio of it yet."""
        self._samples_per_ms = sample_rate_hz / 1000
        self._frame_ms = frame_ms
        self._frames = array("Q", [0])
        self._samples = array("Q", [0])

    @property
    def end_ms(self) -> float:
        """Of the audio so far."""
        return self._samples[-1] / self._samples_per_ms

    def add(self, num_samples: int, num_frames: int) -> None:
        """The next chunk, by whose end the turn has `num_frames` in all."""
        self._frames.append(max(num_frames, self._frames[-1]))
        self._samples.append(self._samples[-1] + num_samples)

    def start_ms(self, frame: int) -> float:
        """When the sound of that frame begins, behind a silence that comes before it."""
        return self._at(frame, bisect_right(self._frames, frame))

    def end_of_ms(self, frame: int) -> float:
        """When the sound of the first `frame` frames ends, before a silence behind them."""
        return self._at(frame, bisect_left(self._frames, frame))

    def frames_at(self, ms: float) -> float:
        """Frames that have been heard by then."""
        samples = ms * self._samples_per_ms
        after = bisect_left(self._samples, samples)
        if after == len(self._samples):
            return self._frames[-1] + (ms - self.end_ms) / self._frame_ms
        if after == 0:
            return 0.0
        first, last = self._samples[after - 1], self._samples[after]
        share = (samples - first) / (last - first)
        return self._frames[after - 1] + share * (self._frames[after] - self._frames[after - 1])

    def _at(self, frame: int, after: int) -> float:
        """`after`: the first chunk that reaches beyond it."""
        if after == len(self._frames):
            return self.end_ms + (frame - self._frames[-1]) * self._frame_ms
        if after == 0:
            return 0.0
        first, last = self._frames[after - 1], self._frames[after]
        share = (frame - first) / (last - first)
        samples = self._samples[after - 1] + share * (
            self._samples[after] - self._samples[after - 1]
        )
        return samples / self._samples_per_ms
