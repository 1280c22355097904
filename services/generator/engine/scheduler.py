"""What the next step does: admit, prefill, decode; and what its outcome means. No torch.

Order of service is first come, first served for slots. A turn that stands still for want of credit
gives its slot to those who wait, and comes back in its old place once it may go on. In a step every
turn that has a frame to feed back advances, and prefill gets one chunk of positions beside it, so
that running turns keep their 80 ms whatever joins.
"""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import NDArray

from services.generator.engine.cache_rows import CacheRecord
from services.generator.engine.events import Event, Finished, FinishReason, FrameReady, Started
from services.generator.engine.plan import Begin, Outcome, Plan, Prefill, frame_row
from services.generator.engine.slots import SlotTable
from services.generator.engine.stalls import StallLimits
from services.generator.engine.turn import NO_SLOT, EngineTurn, EngineTurnState, Parked

OLDEST_FIRST_EVERY = 4
"""Prefill serves the turn with the least left; every so many steps, the oldest (no starvation)."""


class Scheduler:
    """Turns in the queue and in slots. All methods run on the engine thread."""

    def __init__(
        self,
        record: CacheRecord,
        *,
        stall_s: float = float("inf"),
        stall_slot_s: float = float("inf"),
    ) -> None:
        """`stall_s`: how long a turn may be without credit; `stall_slot_s`: and how long of that in
        a slot that others wait for."""
        self.record = record
        self.slots = SlotTable(record)
        self._limits = StallLimits(stall_s, stall_slot_s)
        self._waiting: list[EngineTurn] = []
        self._parked: list[EngineTurn] = []
        self._running: dict[int, EngineTurn] = {}
        self._by_key: dict[str, EngineTurn] = {}
        self._events: list[tuple[EngineTurn, Event]] = []
        self._left: list[Parked] = []
        self._prefill_steps = 0
        self.evictions = 0

    @property
    def waiting(self) -> int:
        """Turns that need a slot."""
        return len(self._waiting)

    @property
    def parked(self) -> int:
        """Turns that gave their slot up and have no credit yet."""
        return len(self._parked)

    @property
    def running(self) -> int:
        """Turns with a slot."""
        return len(self._running)

    @property
    def runnable(self) -> bool:
        """Whether a step would do anything."""
        return any(
            turn.state is EngineTurnState.PREFILL or turn.has_credit
            for turn in self._running.values()
        ) or bool(self._waiting and len(self._running) < len(self.slots))

    def next_expiry_s(self) -> float | None:
        """When the next turn runs out of time, on the monotonic clock."""
        crowded = self._running.values() if self._crowded else ()
        return self._limits.next_expiry_s(self._by_key.values(), crowded)

    def submit(self, turn: EngineTurn) -> None:
        """Puts the turn at the end of the queue."""
        self._enqueue(turn)
        self._by_key[turn.request.key] = turn
        self._note_credit(turn, turn.accepted_s)

    def cancel(self, key: str, reason: FinishReason, requested_s: float, now: float) -> None:
        """Ends the turn, wherever it is; nothing happens if it is over."""
        if turn := self._by_key.get(key):
            self._finish(turn, reason, now, requested_s=requested_s)

    def credit(self, key: str, frames: int) -> None:
        """Allows the turn more frames; nothing happens if it is over or has no flow control."""
        turn = self._by_key.get(key)
        if turn and turn.credit is not None:
            turn.credit += frames
            turn.blocked_since_s = None
            if turn.state is EngineTurnState.PARKED and turn.has_credit:
                self._parked.remove(turn)
                turn.state = EngineTurnState.QUEUED
                self._enqueue(turn)

    def end_all(self, reason: FinishReason, now: float, error: BaseException | None = None) -> None:
        """Ends every turn, queued or running."""
        for turn in list(self._by_key.values()):
            self._finish(turn, reason, now, error=error)

    def expire(self, now: float) -> None:
        """Ends turns whose deadline has passed, queued ones before they run, and turns that have
        waited for credit for too long; takes slots that others wait for from those who stand still.
        """
        for turn in list(self._by_key.values()):
            if self._limits.is_over(turn, now):
                self._finish(turn, FinishReason.DEADLINE, now)
        if self._crowded:
            wanted = sum(turn.has_credit for turn in self._waiting)
            for turn in self._limits.must_leave(self._running.values(), now)[:wanted]:
                self._park(turn)

    def schedule(self, now: float) -> Plan:
        """Decides the next step."""
        self.expire(now)
        plan = Plan(parked=self._left)
        self._left = []
        self._admit(plan, now)
        for slot, turn in self._running.items():
            if turn.state is not EngineTurnState.DECODE:
                continue
            if not turn.has_credit:
                plan.blocked += 1
            else:
                if not turn.hidden_ready:
                    plan.decode[slot] = self.record.length(slot)
                plan.sample.append(slot)
        self._plan_prefill(plan, now)
        plan.unending = [slot for slot in plan.sample if not self._running[slot].may_end]
        return plan

    def commit(self, plan: Plan, outcome: Outcome, now: float) -> list[tuple[EngineTurn, Event]]:
        """Books what the step did; returns what the turns are to hear, in order."""
        for slot, error in outcome.failed.items():
            if turn := self._running.get(slot):
                self._finish(turn, FinishReason.ERROR, now, error=error)
            self.slots.reset(slot)
        for chunk in plan.prefills:
            if chunk.slot not in outcome.failed:
                self._commit_prefill(chunk, now)
        for slot in plan.decode:
            if slot not in outcome.failed:
                turn = self._running[slot]
                self.record.append(slot, frame_row(turn.last_codes), prefilled=False)
                turn.hidden_ready = True
        if outcome.codes is not None:
            for slot in plan.sample:
                if slot not in outcome.failed:
                    self._commit_frame(self._running[slot], outcome.codes[slot], now)
        return self.take_events()

    def take_events(self) -> list[tuple[EngineTurn, Event]]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    @property
    def _crowded(self) -> bool:
        """Whether a turn that could go on finds every slot taken."""
        return len(self._running) == len(self.slots) and any(t.has_credit for t in self._waiting)

    def _enqueue(self, turn: EngineTurn) -> None:
        bisect.insort(self._waiting, turn, key=lambda t: t.accepted_s)

    def _park(self, turn: EngineTurn) -> None:
        """Takes the turn out of its slot; the rows stay there until another's prefill."""
        rows = self.record.rows(turn.slot)
        turn.rows = rows.copy()
        if not turn.hidden_ready:
            turn.rows = np.concatenate([rows, frame_row(turn.last_codes)])
        turn.parked = Parked(turn.slot)
        self._left.append(turn.parked)
        del self._running[turn.slot]
        self.slots.vacate(turn)
        turn.slot, turn.computed = NO_SLOT, 0
        turn.begun = turn.hidden_ready = False
        turn.state = EngineTurnState.PARKED
        self._parked.append(turn)

    def _admit(self, plan: Plan, now: float) -> None:
        while self._waiting:
            # One without credit would only hold a slot; its place in the queue stays.
            turn = next((t for t in self._waiting if t.has_credit), self._waiting[0])
            spared: set[str | None] = {t.request.owner for t in self._waiting}
            acquired = self.slots.acquire(turn, spared)
            if acquired is None:
                return
            self._waiting.remove(turn)
            slot, evicted = acquired
            self.evictions += evicted is not None
            self._running[slot.index] = turn
            turn.state = EngineTurnState.PREFILL
            if turn.slot_s is None:
                turn.slot_s = now
            request = turn.request
            plan.began.append(Begin(slot.index, request.sampling, request.seed, turn.parked))

    def _plan_prefill(self, plan: Plan, now: float) -> None:
        turns = [t for t in self._running.values() if t.state is EngineTurnState.PREFILL]
        if not turns:
            return
        self._prefill_steps += 1
        turns.sort(key=lambda t: t.accepted_s)
        if self._prefill_steps % OLDEST_FIRST_EVERY:
            turns.sort(key=lambda t: t.remaining)
        budget = self.record.chunk
        for turn in turns:
            if not turn.begun:
                # Later, it may find in the cache what a turn before it computes now.
                if plan.prefills and turn.remaining > budget:
                    return
                self._begin(turn, plan, now)
            rows, start = turn.rows, turn.computed
            end = self.record.chunk_end(start, len(rows))
            if plan.prefills and end - start > budget:
                return
            budget -= end - start
            last = end == len(rows)
            plan.prefills.append(Prefill(turn.slot, start, rows[start:end], last))
            if last and turn.has_credit:
                plan.sample.append(turn.slot)

    def _begin(self, turn: EngineTurn, plan: Plan, now: float) -> None:
        if copy := self.slots.adopt(turn):
            plan.copies.append(copy)
        turn.begun = True
        if turn.started:
            return
        turn.started = True
        turn.reused = turn.computed
        turn.prefill_began_s = now
        slot_s = turn.slot_s if turn.slot_s is not None else now
        self._events.append(
            (turn, Started(len(turn.request.prompt), turn.reused, slot_s - turn.accepted_s))
        )

    def _commit_prefill(self, chunk: Prefill, now: float) -> None:
        turn = self._running[chunk.slot]
        self.record.append(chunk.slot, chunk.rows, prefilled=True)
        turn.computed = chunk.start + len(chunk.rows)
        turn.prefilled += len(chunk.rows)
        if chunk.last:
            turn.state = EngineTurnState.DECODE
            if turn.prefilled_s is None:
                turn.prefilled_s = now
            turn.hidden_ready = True
            self._note_credit(turn, now)

    def _commit_frame(self, turn: EngineTurn, codes: NDArray[np.int64], now: float) -> None:
        turn.hidden_ready = False
        if not codes.any():
            self._finish(turn, FinishReason.EOS, now)
            return
        turn.last_codes = codes.copy()
        gap_s = None if turn.last_frame_s is None else now - turn.last_frame_s
        if turn.first_frame_s is None:
            turn.first_frame_s = now
        turn.last_frame_s = now
        index, turn.frames = turn.frames, turn.frames + 1
        if turn.credit is not None:
            turn.credit -= 1
        self._note_credit(turn, now)
        first_frame_s = turn.first_frame_s - turn.accepted_s
        self._events.append((turn, FrameReady(turn.last_codes, index, gap_s, first_frame_s)))
        full = self.record.length(turn.slot) >= self.record.max_positions
        if turn.frames >= turn.request.max_frames or full:
            self._finish(turn, FinishReason.MAX_DURATION, now)

    def _note_credit(self, turn: EngineTurn, now: float) -> None:
        if not turn.has_credit and turn.blocked_since_s is None:
            turn.blocked_since_s = now

    def _finish(
        self,
        turn: EngineTurn,
        reason: FinishReason,
        now: float,
        *,
        requested_s: float | None = None,
        error: BaseException | None = None,
    ) -> None:
        del self._by_key[turn.request.key]
        if turn.state is EngineTurnState.QUEUED:
            self._waiting.remove(turn)
        elif turn.state is EngineTurnState.PARKED:
            self._parked.remove(turn)
        else:
            del self._running[turn.slot]
            self.slots.vacate(turn)
        turn.state = EngineTurnState.FINISHED
        finished: Finished = turn.finished(reason, now, requested_s=requested_s, error=error)
        self._events.append((turn, finished))
