"""Who is let in: as many reservations as there are slots and places in the queue.

Decided on the event loop's side at once, so that a full queue refuses without waiting for a step.
A spoken turn is several sentences, each a turn of the engine: one reservation lasts from the first
to the last, so that what was let in is never refused halfway. No torch.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field


class EngineRefusal(Exception):
    """The engine does not take the turn."""


class QueueFullError(EngineRefusal):
    """All slots and all places of the queue are taken."""


class OwnerBusyError(EngineRefusal):
    """A turn of the same owner is queued or running."""


class DrainingError(EngineRefusal):
    """The engine finishes what it has, or is down."""


@dataclass(eq=False)
class Reservation:
    """An owner's right to a slot or a place in the queue. `kept`: for the turns to come as well,
    not only for the one under way; `turns` counts those under way (0 or 1)."""

    owner: str
    kept: bool = True
    turns: int = 0
    idle_since_s: float = field(default_factory=time.monotonic)


class Admission:
    """The places, and the turns in them. Thread-safe: turns end on the engine's thread."""

    def __init__(self, slots: int, max_queue: int, *, idle_s: float = float("inf")) -> None:
        """`idle_s`: how long a reservation without a turn keeps its place from others."""
        self._slots, self.max_queue, self._idle_s = slots, max_queue, idle_s
        self._lock = threading.Lock()
        self._places: set[Reservation] = set()
        self._turns: dict[str, Reservation] = {}
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Turns let in and not yet over."""
        return len(self._turns)

    @property
    def reserved(self) -> int:
        """Places taken, with or without a turn."""
        return len(self._places)

    @property
    def closed(self) -> bool:
        """Whether nothing more is let in."""
        return self._closed

    def busy(self, owner: str) -> bool:
        """Whether a turn of the owner is under way."""
        with self._lock:
            return self._busy(owner)

    def close(self) -> None:
        """Lets nothing more in."""
        self._closed = True

    def reserve(self, owner: str) -> Reservation:
        """Takes a place for the turns to come, one after another, until it is given back.

        Raises:
            QueueFullError, OwnerBusyError, DrainingError: there is none.
        """
        with self._lock:
            self._check(owner)
            reservation = Reservation(owner)
            self._take(reservation)
            return reservation

    def begin(self, key: str, owner: str, reservation: Reservation | None) -> None:
        """Lets a turn in, under its reservation or with a place of its own.

        A reservation that was given back, or had to yield after `idle_s`, takes a place anew.

        Raises:
            QueueFullError, OwnerBusyError, DrainingError: it is refused.
        """
        with self._lock:
            self._check(owner)
            if reservation is None:
                reservation = Reservation(owner, kept=False)
            if reservation not in self._places:
                self._take(reservation)
            reservation.turns += 1
            self._turns[key] = reservation

    def finish(self, key: str) -> None:
        """The turn is over; its place stays where the reservation is kept."""
        with self._lock:
            reservation = self._turns.pop(key, None)
            if reservation is not None:
                reservation.turns -= 1
                reservation.idle_since_s = time.monotonic()
                self._drop_if_done(reservation)

    def give_back(self, reservation: Reservation) -> None:
        """No turn follows; the place is free at once, or with the end of the turn under way.
        Idempotent."""
        with self._lock:
            reservation.kept = False
            self._drop_if_done(reservation)

    def _busy(self, owner: str) -> bool:
        return any(reservation.owner == owner for reservation in self._turns.values())

    def _check(self, owner: str) -> None:
        if self._closed:
            raise DrainingError("the engine takes no more turns")
        if self._busy(owner):
            raise OwnerBusyError(f"a turn of {owner!r} is under way")

    def _take(self, reservation: Reservation) -> None:
        if len(self._places) >= self._slots + self.max_queue:
            self._expire()
        if len(self._places) >= self._slots + self.max_queue:
            raise QueueFullError(
                f"all {self._slots} slots run and {self.max_queue} turns wait, or are reserved"
            )
        self._places.add(reservation)

    def _expire(self) -> None:
        # Only where somebody wants the place: until then, an idle one harms nobody.
        latest = time.monotonic() - self._idle_s
        self._places = {r for r in self._places if r.turns or r.idle_since_s > latest}

    def _drop_if_done(self, reservation: Reservation) -> None:
        if not (reservation.kept or reservation.turns):
            self._places.discard(reservation)
