"""What becomes of a spoken turn when something fails, decided in one table; and its states.

`fate` is asked once for every failure behind a turn. Nothing else in the gateway looks at a status
to decide whether a turn is tried again, goes on, or ends.
"""

from collections.abc import Set
from dataclasses import dataclass
from enum import Enum

from grpc import StatusCode


class TurnState(Enum):
    """Where a spoken turn is."""

    WAITING = "waiting"
    """For its first sentence, for the turn before it, or for a backend."""
    OPEN = "open"
    """The backends' calls are open; nothing of it has been delivered."""
    SPEAKING = "speaking"
    """Audio of it has been delivered: it cannot begin again, and goes on elsewhere where a backend
    fails."""
    STOPPING = "stopping"
    """Cancelled, or the server is going away: what runs is brought to its end."""
    OVER = "over"
    """It has had its terminal, or its call has ended."""


MOVES: dict[TurnState, frozenset[TurnState]] = {
    TurnState.WAITING: frozenset({TurnState.OPEN, TurnState.STOPPING, TurnState.OVER}),
    TurnState.OPEN: frozenset(
        {TurnState.WAITING, TurnState.SPEAKING, TurnState.STOPPING, TurnState.OVER}
    ),
    TurnState.SPEAKING: frozenset({TurnState.STOPPING, TurnState.OVER}),
    TurnState.STOPPING: frozenset({TurnState.OVER}),
    TurnState.OVER: frozenset(),
}
"""The moves that a turn may make."""


class Fate(Enum):
    """What is done about a failure."""

    RETRY = "retry"
    """Open the turn again, elsewhere if there is an elsewhere."""
    WAIT = "wait"
    """Try the same again shortly: a place will be free."""
    GO_ON = "go_on"
    """Open what failed elsewhere, or the same anew, and go on in the same sentence."""
    SKIP = "skip"
    """Leave the sentence out, with a warning; the turn goes on."""
    END_TURN = "end_turn"
    """The turn ends with its terminal; the call goes on. (A turn that is a whole call and has not
    started ends that call with the status.)"""
    END_CALL = "end_call"
    """Nothing of the call can go on: it ends with the status."""


class Source(Enum):
    """What failed."""

    SENTENCE = "sentence"
    """One sentence, as the generator's terminal says; its call goes on."""
    GENERATOR = "generator"
    TOKENIZER = "tokenizer"


LOST = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.CANCELLED,
        StatusCode.UNAUTHENTICATED,
        StatusCode.PERMISSION_DENIED,
    }
)
"""The backend is gone, or has failed, or does not take the gateway's credential: another may, and
the same when its operator has seen to it."""
REFUSED = frozenset({StatusCode.INVALID_ARGUMENT, StatusCode.OUT_OF_RANGE})
BUSY = frozenset({StatusCode.FAILED_PRECONDITION})
"""The conversation's slot has not been left by the turn before."""
FULL = frozenset({StatusCode.RESOURCE_EXHAUSTED})
NOT_FREE = BUSY | FULL
NOT_OURS = frozenset({StatusCode.UNIMPLEMENTED})
"""The backend is not one that this gateway can use: the next turn would fare no better."""


@dataclass(frozen=True)
class FateRule:
    """A row of the table. None matches everything."""

    fate: Fate
    source: Source | None = None
    codes: Set[StatusCode] | None = None
    delivered: bool | None = None
    stopping: bool | None = None

    def matches(self, source: Source, code: StatusCode, *, delivered: bool, stopping: bool) -> bool:
        """Whether the row speaks of this failure."""
        return (
            self.source in (None, source)
            and (self.codes is None or code in self.codes)
            and self.delivered in (None, delivered)
            and self.stopping in (None, stopping)
        )


TABLE: tuple[FateRule, ...] = (
    # A turn that stops gets the end that was asked for, whatever fails on the way.
    FateRule(Fate.END_TURN, stopping=True),
    FateRule(Fate.SKIP, Source.SENTENCE, REFUSED),
    FateRule(Fate.RETRY, Source.SENTENCE, LOST, delivered=False),
    FateRule(Fate.END_CALL, codes=NOT_OURS, delivered=False),
    FateRule(Fate.RETRY, codes=LOST, delivered=False),
    FateRule(Fate.WAIT, Source.GENERATOR, BUSY, delivered=False),
    # The generator's queue refuses at once, so that the caller can go elsewhere. A turn that the
    # generator has taken is spoken: it waits for a stream of the tokenizer.
    FateRule(Fate.WAIT, Source.TOKENIZER, FULL, delivered=False),
    # What was heard is never said again. A place is refused to a turn that is under way only where
    # it comes from elsewhere: it waits for one.
    FateRule(Fate.GO_ON, codes=LOST | NOT_FREE, delivered=True),
    FateRule(Fate.END_TURN),
)
"""The first row that matches decides."""


def fate(source: Source, code: StatusCode, *, delivered: bool, stopping: bool) -> Fate:
    """What becomes of a turn after a failure of `source` with `code`.

    `delivered`: audio of the turn has left for the client. `stopping`: its end was asked for.
    """
    for rule in TABLE:
        if rule.matches(source, code, delivered=delivered, stopping=stopping):
            return rule.fate
    raise LookupError(f"no rule for {source}, {code}")
