"""A turn that another call left unfinished, and that goes on."""

from collections import deque
from dataclasses import dataclass, replace

from gateway.commands import Resume, TurnOptions
from gateway.conversations.conversation import StoredConversation
from gateway.conversations.segment import Segment
from gateway.conversations.turn import Turn


@dataclass(frozen=True)
class Resumed:
    """What is kept of it. `heard_ms`: up to where it was heard, None: as far as it is kept."""

    turn: Turn
    heard_ms: int | None

    def heard_until_ms(self, frame_ms: float) -> int:
        """Where what is heard of it goes on."""
        return self.turn.audio_ms(frame_ms) if self.heard_ms is None else self.heard_ms

    def heard_frames(self, frame_ms: float) -> int:
        """Of its frames, those that were heard."""
        heard = self.turn.timeline.heard_frames(self.heard_until_ms(frame_ms), frame_ms)
        return min(self.turn.num_frames, heard)

    def until(self, num_frames: int) -> Turn:
        """What is kept of it where it ends before its frames were taken up: so many of them."""
        turn = replace(self.turn)
        turn.truncate(num_frames)
        return turn


def resumed_of(
    conversation: StoredConversation, command: Resume, options: TurnOptions
) -> Resumed | None:
    """What there is of the turn that is to go on.

    None: nothing, and without a seed nobody knows how it was said: it is said anew.
    """
    last = conversation.turns[-1] if conversation.turns else None
    if last is not None and last.turn_id == command.turn_id and not last.heard:
        return Resumed(last, command.heard_ms)
    if options.sampling.seed is None or command.heard_ms is None:
        return None
    return Resumed(Turn(command.turn_id, options.speaker, False, []), command.heard_ms)


class KeptSentences:
    """The sentences of a resumed turn that need not be made anew, one after the other."""

    def __init__(self, resumed: Resumed | None) -> None:
        turn = None if resumed is None else resumed.turn
        unfinished = None if turn is None else turn.unfinished
        self.seed = 0 if unfinished is None else unfinished.seed
        """What the turn's first sentence was drawn with; 0: nobody knows."""
        self._cut_seed = None if unfinished is None else unfinished.cut_seed
        self._segments = deque(() if turn is None else turn.segments)

    def __len__(self) -> int:
        return len(self._segments)

    def next(self, text: str) -> tuple[Segment, int | None] | None:
        """The frames that there are of the turn's next sentence, and the seed to go on with where
        it is not whole. None: there are none; of another text than before there is nothing more."""
        if not self._segments:
            return None
        segment = self._segments.popleft()
        cut_seed = None if self._segments else self._cut_seed
        if segment.text == text and cut_seed is None:
            return segment, None
        if cut_seed is not None and text.startswith(segment.text):
            return segment, cut_seed
        self._segments.clear()
        return None
