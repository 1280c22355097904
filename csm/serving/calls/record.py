"""What is known of one call: an RPC, a request over HTTP, a WebSocket from its handshake on.

The edges (the gRPC interceptor, the HTTP edge) begin a record and end it; whoever knows something
of the call adds it meanwhile, by `current_call()`. What is to be done with it, a log line or a
span, is the business of observers: they are told when calls and turns begin and end.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from csm.serving.auth import identity
from csm.serving.calls.trace_context import TraceContext
from csm.serving.calls.turn_record import TurnRecord

if TYPE_CHECKING:
    from csm.serving.calls.outgoing import OutgoingCall

log = logging.getLogger(__name__)

Figure = str | int | float
"""What can be told of a part of the work; of a client's words nothing."""


class CallObserver:
    """Is told of calls and turns, in the task and the context of the call. Each method does nothing
    unless it is overridden. One that raises is logged; the call goes on."""

    def call_began(self, call: "CallRecord") -> None:
        """An edge took the call; of who makes it nothing is known yet."""

    def call_ended(self, call: "CallRecord") -> None:
        """It is over, and its record complete."""

    def turn_began(self, call: "CallRecord", turn: TurnRecord) -> None:
        """There is a turn, or its first text."""

    def turn_ended(self, call: "CallRecord", turn: TurnRecord) -> None:
        """It is over, and its record complete."""

    def stage_ended(
        self,
        call: "CallRecord",
        turn: TurnRecord | None,
        stage: str,
        began_s: float,
        ended_s: float,
        figures: Mapping[str, Figure],
    ) -> None:
        """A part of the work is done, in a call that is `traced`. docs/tracing.md has the names;
        times are those of the monotonic clock, and may lie some way back."""

    def outgoing_began(self, call: "CallRecord", outgoing: "OutgoingCall") -> None:
        """Another service is about to be called, for a call that is `traced`."""

    def outgoing_ended(self, call: "CallRecord", outgoing: "OutgoingCall") -> None:
        """That call is over."""


@dataclass(slots=True, eq=False)
class CallRecord:
    """One call. What is zero or empty was not there, or is not known."""

    method: str
    """`package.Service/Method`, or `POST /v1/template`, set when the route is known."""
    transport: str = ""
    """grpc, http or websocket."""
    request_id: str = ""
    peer: str = ""
    """Address of the other side without its port: of the proxy, where there is one."""
    observers: Sequence[CallObserver] = ()
    keeps_text: bool = False
    """Whether what is said and heard may be logged (`log_text`)."""
    probe: bool = False
    """Asked by machines every few seconds: of no interest."""
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float | None = None
    status: str = ""
    """Name of a gRPC code, or an HTTP status; `gone`: the client went before there was one."""
    failed: bool = False
    """The fault is ours: INTERNAL, 500."""
    error: str = ""
    """What failed, without a client's words."""
    principal: str = ""
    tenant: str = ""
    trace: TraceContext | None = None
    """What calls to others go on with: this call's span; its caller's where none is made."""
    traced: bool = False
    """Its parts are of interest: set by the observer that makes spans of them."""
    span: Any = None
    """That observer's own."""
    conversation_id: str = ""
    conversing: bool = False
    """Turns may follow one another: each is of interest by itself."""
    turn_id: str = ""
    """Of the turn last spoken."""
    num_turns: int = 0
    """Spoken."""
    num_heard: int = 0
    """Turns that were heard."""
    turns_under_way: int = 0
    first_audio_ms: float | None = None
    """Of the first turn that had audio."""
    audio_s: float = 0.0
    """Sent."""
    heard_s: float = 0.0
    num_frames: int = 0
    """Made by the generator, or (de)coded by the tokenizer."""
    prompt_frames: int = 0
    reused_frames: int = 0
    bytes_in: int = 0
    """Of messages or bodies, without what carries them."""
    bytes_out: int = 0
    num_warnings: int = 0
    retries: int = 0
    failovers: int = 0
    finish_reason: str = ""
    """Of the turn last spoken."""
    text: str = ""
    """As `TurnRecord.text`, of the only turn."""

    def begin(self) -> None:
        """The call is this task's from now on."""
        current.set(self)
        self._tell(lambda observer: observer.call_began(self))

    def end(self, status: str, *, failed: bool = False) -> None:
        """It is over; counts once."""
        if self.ended_s is not None:
            return
        self.ended_s = time.monotonic()
        self.status, self.failed = status, failed
        self._note_principal()
        self._tell(lambda observer: observer.call_ended(self))

    @property
    def trace_id(self) -> str:
        """Of the trace that it belongs to; empty: to none."""
        return self.trace.trace_id if self.trace is not None else ""

    @property
    def duration_ms(self) -> float:
        """So far, or in all."""
        ended_s = time.monotonic() if self.ended_s is None else self.ended_s
        return 1000 * (ended_s - self.began_s)

    def begin_turn(self, began_s: float, *, heard: bool = False) -> TurnRecord:
        """A turn of this call."""
        turn = TurnRecord(began_s, self.keeps_text, heard, trace=self.trace)
        self.turns_under_way += 1
        self._tell(lambda observer: observer.turn_began(self, turn))
        return turn

    def end_turn(self, turn: TurnRecord, ended_s: float) -> None:
        """It is over; counts once. Its figures are added to the call's."""
        if turn.ended_s is not None:
            return
        turn.ended_s = ended_s
        self._note_principal()
        self.turns_under_way -= 1
        if turn.heard:
            self.num_heard += 1
            self.heard_s += turn.audio_s
        elif turn.turn_id:
            self._add(turn)
        self._tell(lambda observer: observer.turn_ended(self, turn))

    def stage(
        self,
        turn: TurnRecord | None,
        stage: str,
        began_s: float,
        ended_s: float,
        **figures: Figure,
    ) -> None:
        """A part of the work is done; told only of a call that is `traced`."""
        if self.traced:
            self._tell(lambda o: o.stage_ended(self, turn, stage, began_s, ended_s, figures))

    def tell_outgoing_began(self, outgoing: "OutgoingCall") -> None:
        """Of the call to another service; its own business."""
        self._tell(lambda observer: observer.outgoing_began(self, outgoing))

    def tell_outgoing_ended(self, outgoing: "OutgoingCall") -> None:
        """As `tell_outgoing_began`."""
        self._tell(lambda observer: observer.outgoing_ended(self, outgoing))

    def _note_principal(self) -> None:
        principal = identity.current.get()
        self.principal, self.tenant = principal.name, principal.tenant

    def _add(self, turn: TurnRecord) -> None:
        self.num_turns += 1
        self.turn_id, self.finish_reason = turn.turn_id, turn.finish_reason
        if self.first_audio_ms is None:
            self.first_audio_ms = turn.first_audio_ms
        self.audio_s += turn.audio_s
        self.num_frames += turn.num_frames
        self.prompt_frames += turn.prompt_frames
        self.reused_frames += turn.reused_frames
        self.num_warnings += turn.num_warnings
        self.retries += turn.retries
        self.failovers += turn.failovers
        if not self.conversing:
            self.text, self.error = turn.text, self.error or turn.error

    def _tell(self, what: Callable[[CallObserver], None]) -> None:
        for observer in self.observers:
            try:
                what(observer)
            except Exception as error:
                log.error("an observer of calls failed: %s", type(error).__name__)


current: ContextVar[CallRecord | None] = ContextVar("call", default=None)
"""The record of the call that a task works for."""


def current_call() -> CallRecord:
    """The record of the call that this task works for; one that nobody reads where there is
    none."""
    return current.get() or CallRecord("")
