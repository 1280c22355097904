"""Where the edges of a service get the records of their calls from."""

from collections.abc import Sequence
from dataclasses import dataclass

from csm.serving.calls.record import CallObserver, CallRecord
from csm.serving.calls.trace_context import TraceContext


@dataclass(frozen=True)
class CallRecorder:
    """Makes records that the service's observers are told of."""

    observers: Sequence[CallObserver] = ()
    keeps_text: bool = False
    """Whether what is said and heard may be logged."""

    def begin(
        self,
        method: str,
        transport: str,
        request_id: str,
        peer: str,
        *,
        probe: bool = False,
        trace: TraceContext | None = None,
    ) -> CallRecord:
        """The record of a call that was just taken, for this task and those that it starts. `trace`
        is what its caller says that it is part of."""
        record = CallRecord(
            method, transport, request_id, peer, self.observers, self.keeps_text, probe
        )
        record.trace = trace
        record.begin()
        return record
