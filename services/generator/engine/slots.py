"""Who holds which slot, who gives one up, and what a slot can take over from another. No torch."""

from collections.abc import Container
from dataclasses import dataclass

from services.generator.engine.cache_rows import CacheRecord
from services.generator.engine.turn import EngineTurn, PromptRows

MIN_OWN_POSITIONS = 16
"""Below this an owner gives up its matching rows: what others share may be more."""


@dataclass
class Slot:
    """One row of the batch. `owner` keeps it between turns; `turn` runs in it; the rows on record
    are `rows_owner`'s, which differs from `owner` until a new owner's prefill begins, and of
    `rows_scope`, also when their owner has gone."""

    index: int
    owner: str | None = None
    turn: EngineTurn | None = None
    rows_owner: str | None = None
    rows_scope: str = ""
    last_used: int = 0


@dataclass(frozen=True)
class Copy:
    """The KV of the first `length` positions of `source` goes to `target`."""

    source: int
    target: int
    length: int


class SlotTable:
    """The slots of the batch over one cache record."""

    def __init__(self, record: CacheRecord) -> None:
        self.record = record
        self._slots = [Slot(index) for index in range(record.slots)]
        self._clock = 0

    def __getitem__(self, index: int) -> Slot:
        return self._slots[index]

    def __len__(self) -> int:
        return len(self._slots)

    def of(self, owner: str) -> Slot | None:
        """The slot that the owner keeps, if any."""
        return next((slot for slot in self._slots if slot.owner == owner), None)

    @property
    def cached(self) -> int:
        """Owners that keep a slot while nothing of theirs runs."""
        return sum(1 for s in self._slots if s.owner is not None and s.turn is None)

    @property
    def positions_in_use(self) -> int:
        """Live positions of all slots that have an owner."""
        return sum(self.record.length(s.index) for s in self._slots if s.owner is not None)

    def acquire(
        self, turn: EngineTurn, spared: Container[str | None]
    ) -> tuple[Slot, str | None] | None:
        """Gives the turn a slot: its owner's, the lowest free one, or of the owner idle longest.

        `spared` are owners with a turn in the queue; theirs go last. Returns the slot and the owner
        who lost it, or None while all slots run.
        """
        owner = turn.request.owner
        evicted: str | None = None
        slot = self.of(owner)
        if slot is None:
            idle = [s for s in self._slots if s.turn is None]
            if not idle:
                return None
            slot = min(idle, key=lambda s: _order(s, spared))
            evicted, slot.owner = slot.owner, owner
        slot.turn = turn
        turn.slot = slot.index
        self._touch(slot)
        return slot, evicted

    def vacate(self, turn: EngineTurn) -> None:
        """The turn is over, or parked; its owner keeps the slot, idle."""
        slot = self._slots[turn.slot]
        slot.turn = None
        self._touch(slot)

    def release(self, owner: str) -> bool:
        """Takes the owner's idle slot away. False where it has none, or a turn runs in it.

        The rows stay on record: a prefix they share with a later prompt need not be computed again.
        """
        slot = self.of(owner)
        if slot is None or slot.turn is not None:
            return False
        slot.owner = slot.rows_owner = None
        return True

    def reset(self, index: int) -> None:
        """Forgets what the slot holds, and whose it is: its content cannot be trusted."""
        slot = self._slots[index]
        slot.owner = slot.rows_owner = slot.turn = None
        self.record.truncate(index, 0)

    def adopt(self, turn: EngineTurn) -> Copy | None:
        """Keeps in the turn's slot what its prompt can reuse, and forgets the rest.

        The owner's own rows are reused to the last position that matches. Where they are another's,
        the longest shareable prefix of any slot of the turn's scope is taken instead. Never both by
        what is longer: then the neighbours would decide how a turn is computed, which torch's
        rounding shows. The prompt's last position is always left to compute, because its hidden
        state makes the first frame.
        """
        prompt, scope = turn.rows[:-1], turn.request.cache_scope
        slot = self._slots[turn.slot]
        kept = 0
        if slot.rows_owner == turn.request.owner and slot.rows_scope == scope:
            kept = self.record.common_prefix(slot.index, prompt)
        copy: Copy | None = None
        if kept < MIN_OWN_POSITIONS:
            source, kept = self._best_prefix(prompt, scope)
            if kept and source != slot.index:
                self.record.copy(source, slot.index, kept)
                copy = Copy(source, slot.index, kept)
        self.record.truncate(slot.index, kept)
        slot.rows_owner, slot.rows_scope = turn.request.owner, scope
        turn.computed = kept
        return copy

    def _best_prefix(self, prompt: PromptRows, scope: str) -> tuple[int, int]:
        lengths = [
            self.record.shareable_prefix(s.index, prompt) if s.rows_scope == scope else 0
            for s in self._slots
        ]
        best = max(range(len(lengths)), key=lengths.__getitem__)
        return best, lengths[best]

    def _touch(self, slot: Slot) -> None:
        self._clock += 1
        slot.last_used = self._clock


def _order(slot: Slot, spared: Container[str | None]) -> tuple[bool, bool, int]:
    """Which idle slot goes first: free ones by their number, so that a batch stays the first few
    slots (`graphs.model`); then those of owners, the one idle longest."""
    if slot.owner is None:
        return False, False, slot.index
    return True, slot.owner in spared, slot.last_used
