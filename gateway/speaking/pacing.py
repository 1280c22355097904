"""When audio may leave, and how a listener who plays it at once would fare."""

MIN_LEAD_FRAMES = 2
"""A shorter lead would make every chunk late; shorter ones are raised to it."""


class Playout:
    """A listener who starts with the first chunk, plays without pause and waits when starved.

    All times are in seconds of one monotonic clock.
    """

    def __init__(self, max_lead_ms: int, frame_ms: float) -> None:
        """`max_lead_ms` 0 sends at once; else chunks end at most that far ahead of real time."""
        self._lead_s = max(max_lead_ms, MIN_LEAD_FRAMES * frame_ms) / 1000 if max_lead_ms else None
        self._play_end: float | None = None
        self.underrun_s = 0.0

    @property
    def paced(self) -> bool:
        """Whether there is a limit at all."""
        return self._lead_s is not None

    def delay_s(self, duration_s: float, now: float) -> float:
        """How long a chunk of `duration_s` has to wait before it may leave; <= 0: not at all."""
        if self._lead_s is None or self._play_end is None:
            return 0.0
        return self._play_end - now - max(0.0, self._lead_s - duration_s)

    def sent(self, duration_s: float, now: float) -> float:
        """Notes a chunk that left; returns how far its end is ahead of real time, >= 0."""
        if self._play_end is None:
            self._play_end = now
        elif now > self._play_end:
            self.underrun_s += now - self._play_end
            self._play_end = now
        self._play_end += duration_s
        return self._play_end - now

    def lead_s(self, now: float) -> float:
        """How far the end of what was sent is ahead of real time, >= 0."""
        return max(0.0, self._play_end - now) if self._play_end is not None else 0.0

    def text_starved(self, now: float) -> None:
        """The listener waited for text that nobody had written yet: no underrun of ours."""
        if self._play_end is not None and now > self._play_end:
            self._play_end = None
