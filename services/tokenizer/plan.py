"""Which streams advance next: a run of neighbouring rows, and how many frames of each.

A step costs a fixed part and a part for each row and frame. On two CPU cores the fixed part is
that of about two rows (measured with pico: 1.8 ms and 0.8 ms a row and frame; at full size 13 ms
and 8 ms), so up to two idle rows inside a run are cheaper than another step. Beyond about sixteen
rows times frames a step gains nothing more and only keeps others waiting.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_STEP_FRAMES = 8


@dataclass(frozen=True)
class Ready:
    """A stream that could advance."""

    row: int
    waiting_frames: int
    """Frames that it could take now, >= 1."""
    started: bool
    """Whether it has had output; the first goes out after a single frame."""
    served_at: int
    """Number of the step that served it last; the smaller, the sooner its turn."""


@dataclass(frozen=True)
class Costs:
    """What pays on a device."""

    max_gap_rows: int
    """Idle rows in a run that are cheaper than another step."""
    max_row_frames: int
    """Rows times frames of a step."""


CPU = Costs(max_gap_rows=2, max_row_frames=16)
# Natively a row that sits out is not computed: any gap is cheaper than reading the weights again.
NATIVE = Costs(max_gap_rows=512, max_row_frames=16)
# A kernel launch costs more than a row: one step for all.
CUDA = Costs(max_gap_rows=512, max_row_frames=512)


@dataclass(frozen=True)
class CodecPlan:
    """One step: `frames` frames of each of `rows`, all within `first`..`first + count - 1`."""

    first: int
    count: int
    frames: int
    rows: tuple[int, ...]


def plan(ready: Sequence[Ready], costs: Costs) -> CodecPlan:
    """The next step of one direction, for which at least one stream is ready.

    Whoever was served longest ago leads and says how many frames; neighbours with as many waiting
    join as long as the run pays. So a stream waits at most for one step of every other one.
    """
    lead = min(ready, key=lambda r: (r.served_at, r.row))
    frames = _frames(lead)
    joining = sorted((r for r in ready if _may_take(r, frames)), key=lambda r: r.row)
    at = next(i for i, r in enumerate(joining) if r.row == lead.row)
    low = high = at
    # Grow towards the nearer neighbour, so that a full run is the tightest one.
    while True:
        span = joining[high].row - joining[low].row + 1
        below = joining[low].row - joining[low - 1].row if low > 0 else None
        above = joining[high + 1].row - joining[high].row if high + 1 < len(joining) else None
        steps = [
            (distance, side)
            for distance, side in ((below, -1), (above, 1))
            if distance is not None
            and distance - 1 <= costs.max_gap_rows
            and (span + distance) * frames <= costs.max_row_frames
        ]
        if not steps:
            break
        if min(steps)[1] < 0:
            low -= 1
        else:
            high += 1
    rows = tuple(r.row for r in joining[low : high + 1])
    return CodecPlan(rows[0], rows[-1] - rows[0] + 1, frames, rows)


def _frames(stream: Ready) -> int:
    return min(stream.waiting_frames, MAX_STEP_FRAMES) if stream.started else 1


def _may_take(stream: Ready, frames: int) -> bool:
    return _frames(stream) >= frames
