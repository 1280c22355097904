"""The difference between what a conversation is and what the store has of it, as one write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from gateway.conversations.redis.records import RecordKey, finished_key, pack, record_key
from gateway.conversations.turn import Turn

MAX_WRITE_BYTES = 1 << 20
"""Of the records of one write; a single one may be longer."""


@dataclass(frozen=True, slots=True)
class Splice:
    """`keep` records behind the first `drop` stay, then come `records`."""

    drop: int
    keep: int
    records: list[bytes]
    after: list[RecordKey]
    """What the store has once it is written."""
    more: bool = False
    """There is more to write behind it."""


class SpokenRecords:
    """The records of the turn that is being spoken: each holds what was delivered since."""

    def __init__(self) -> None:
        self._turn_id = ""
        self._keys: list[RecordKey] = []

    def of(self, turn: Turn | None) -> list[tuple[RecordKey, Callable[[], bytes]]]:
        """Its records, and what makes each of them; the last is new where it has grown."""
        if turn is None or not turn.segments:
            self._keys = []
            return []
        if turn.turn_id != self._turn_id or (
            self._keys and turn.num_frames < self._keys[-1].end_frame
        ):
            self._turn_id, self._keys = turn.turn_id, []
        done = self._keys[-1].end_frame if self._keys else 0
        if not self._keys or turn.num_frames > done:
            self._keys.append(record_key(turn, done))
        elif self._keys[-1] != record_key(turn, self._keys[-1].first_frame):
            self._keys[-1] = record_key(turn, self._keys[-1].first_frame)
        return [(key, partial(_pack_part, turn, key)) for key in self._keys]


def _pack_part(turn: Turn, key: RecordKey) -> bytes:
    """The part that `key` is of, out of a turn that may have grown since."""
    if key.end_frame == turn.num_frames:
        return pack(turn, key.first_frame)
    part = Turn(turn.turn_id, turn.speaker, turn.heard, list(turn.segments), turn.timeline)
    part.truncate(key.end_frame)
    part.unfinished = key.unfinished
    return pack(part, key.first_frame)


def splice(
    stored: Sequence[RecordKey],
    turns: Sequence[Turn],
    spoken: Sequence[tuple[RecordKey, Callable[[], bytes]]],
) -> Splice | None:
    """What makes `stored` into the turns and the records of the spoken one; None: nothing does.

    At most `MAX_WRITE_BYTES`; there may be more to do behind it.
    """
    wanted: list[tuple[RecordKey, Callable[[], bytes]]] = [
        *((finished_key(turn), partial(pack, turn)) for turn in turns),
        *spoken,
    ]
    first = wanted[0][0].turn_id if wanted else ""
    drop = next((i for i, key in enumerate(stored) if key.turn_id == first), len(stored))
    keep = 0
    for (key, _), there in zip(wanted, islice(stored, drop, None), strict=False):
        if key is not there and key != there:
            break
        keep += 1
    if drop == 0 and keep == len(wanted) == len(stored):
        return None
    records: list[bytes] = []
    size = 0
    for _, make in wanted[keep:]:
        record = make()
        size += len(record)
        if records and size > MAX_WRITE_BYTES:
            break
        records.append(record)
    after = [key for key, _ in wanted[: keep + len(records)]]
    return Splice(drop, keep, records, after, more=len(after) < len(wanted))
