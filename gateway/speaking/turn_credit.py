"""How far the generator may be ahead of the client, over all of a turn's Generate calls."""


class TurnCredit:
    """Frames that the generator may send: a window beyond what the client has taken."""

    def __init__(self, window_frames: int) -> None:
        """`window_frames` are allowed from the beginning."""
        self.granted = window_frames
        """Frames of the turn that the generator may have sent so far."""
        self._due = 0
        self._batch = max(1, window_frames // 3)

    def give(self, num_frames: int) -> int:
        """The client has taken so many more; the frames to allow now, in batches: mostly 0."""
        self._due += num_frames
        if self._due < self._batch:
            return 0
        batch, self._due = self._due, 0
        self.granted += batch
        return batch

    def anew(self, num_frames: int) -> int:
        """What another call may begin with behind `num_frames` of the turn, at least one: with none
        there would be no flow control."""
        self.granted = max(self.granted + self._due, num_frames + 1)
        self._due = 0
        return self.granted - num_frames
