"""The parts of a spoken turn, told for its trace when it is over."""

from dataclasses import dataclass

from csm.serving.calls.record import CallRecord, Figure
from csm.serving.calls.turn_record import TurnRecord


@dataclass(slots=True)
class Stage:
    """Something that is done in pieces: from where the first began to where the last ended, on the
    monotonic clock."""

    began_s: float | None = None
    first_s: float | None = None
    """When the first piece was done."""
    last_s: float | None = None

    def note(self, began_s: float | None, done_s: float) -> None:
        """A piece is done; `began_s` counts of the first one."""
        if self.first_s is None:
            self.began_s, self.first_s = began_s, done_s
        self.last_s = done_s

    def tell(self, call: CallRecord, turn: TurnRecord, name: str, **figures: Figure) -> None:
        """Where there was any of it."""
        if self.began_s is not None and self.first_s is not None and self.last_s is not None:
            first_ms = round(1000 * (self.first_s - self.began_s), 1)
            call.stage(turn, name, self.began_s, self.last_s, first_ms=first_ms, **figures)
