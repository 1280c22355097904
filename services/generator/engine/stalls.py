"""Turns that stand still for want of credit, and how long they may. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.generator.engine.turn import EngineTurn, EngineTurnState


@dataclass(frozen=True)
class StallLimits:
    """How long a turn may be without credit in all, and in a slot that others wait for."""

    stall_s: float = float("inf")
    stall_slot_s: float = float("inf")

    def is_over(self, turn: EngineTurn, now: float) -> bool:
        """Whether the turn has run out of time: its deadline's, or that for credit."""
        deadline_s, blocked_s = turn.request.deadline_s, turn.blocked_since_s
        late = deadline_s is not None and now >= deadline_s
        return late or (blocked_s is not None and now - blocked_s >= self.stall_s)

    def must_leave(self, running: Iterable[EngineTurn], now: float) -> list[EngineTurn]:
        """Of the turns in slots that others wait for, those whose time there is over; who has stood
        longest first."""
        standing = [t for t in standing_of(running) if now - blocked_s(t) >= self.stall_slot_s]
        return sorted(standing, key=blocked_s)

    def next_expiry_s(
        self, turns: Iterable[EngineTurn], crowded: Iterable[EngineTurn]
    ) -> float | None:
        """When the next turn runs out of time; `crowded`: those in slots that others wait for."""
        times = [blocked_s(turn) + self.stall_slot_s for turn in standing_of(crowded)]
        for turn in turns:
            if (deadline_s := turn.request.deadline_s) is not None:
                times.append(deadline_s)
            if turn.blocked_since_s is not None:
                times.append(turn.blocked_since_s + self.stall_s)
        return min(times, default=None)


def standing_of(running: Iterable[EngineTurn]) -> list[EngineTurn]:
    """The turns that hold a slot and cannot use it."""
    return [
        turn
        for turn in running
        if turn.state is EngineTurnState.DECODE and turn.blocked_since_s is not None
    ]


def blocked_s(turn: EngineTurn) -> float:
    """Since when the turn has had no credit; never, where it has some."""
    return float("inf") if turn.blocked_since_s is None else turn.blocked_since_s
