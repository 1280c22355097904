"""One line for each call at its end, and for each turn of a conversation.

docs/logs.md lists the fields; `CALL_FIELDS` and `TURN_FIELDS` are what it is tested against.
"""

import logging
from collections.abc import Mapping

from csm.serving.calls.record import CallObserver, CallRecord
from csm.serving.calls.turn_record import TurnRecord

log = logging.getLogger("csm.access")

CALL_ENDED, TURN_ENDED = "call ended", "turn ended"
"""The messages of the two kinds of lines."""

CALL_FIELDS: Mapping[str, str] = {
    "transport": "grpc, http or websocket",
    "method": "RPC as `package.Service/Method`; over HTTP the method and the route's template, "
    "`other` where there is no such route",
    "status": "name of the gRPC code, or HTTP status; `gone`: the client left before there was one",
    "principal": "who called; left out where identity is off",
    "tenant": "for whom",
    "conversation_id": "of the conversation that the call is about",
    "turn_id": "of the turn last spoken",
    "turns": "turns spoken, refused ones not among them",
    "heard_turns": "turns heard",
    "duration_ms": "from the call's arrival to its end",
    "first_audio_ms": "of the first turn: from its complete text to its first audio, sent",
    "audio_s": "audio sent",
    "heard_s": "audio heard",
    "frames": "frames that the generator made, or that a tokenizer took or gave",
    "prompt_frames": "context that the generator was given",
    "reused_frames": "of these, what its KV cache still had",
    "finish_reason": "of the turn last spoken",
    "warnings": "of all turns",
    "retries": "beginnings anew after a failure of a model service, nothing sent yet",
    "failovers": "goings on elsewhere after a failure, amid a turn",
    "bytes_in": "of messages or bodies that came",
    "bytes_out": "of messages or bodies that went",
    "peer": "address of the other side, without its port; behind a proxy the proxy's",
    "trace_id": "of the trace that the call belongs to; left out where there is none",
    "error": "what failed, without what the client had sent",
    "text": "beginning of what was spoken; only with `log_text`",
}
TURN_FIELDS: Mapping[str, str] = {
    "kind": "spoken or heard",
    "method": "as of its call",
    "outcome": "completed, cancelled, deadline, rejected or failed",
    "finish_reason": "as the turn's terminal says; left out where it had none",
    "principal": "who called",
    "tenant": "for whom",
    "conversation_id": "of the conversation",
    "turn_id": "of the turn",
    "duration_ms": "from the turn's complete first sentence, as for first_audio_ms, to its end",
    "first_audio_ms": "from there to its first audio, sent",
    "queue_ms": "it waited for the generator",
    "prefill_ms": "the generator took its prompt in",
    "audio_s": "audio sent, or heard",
    "frames": "frames made, or heard",
    "prompt_frames": "context that the generator was given",
    "reused_frames": "of these, what its KV cache still had",
    "text_tokens": "positions of its text",
    "text_chars": "length of its text as it was given",
    "warnings": "in its terminal",
    "retries": "beginnings anew, nothing sent yet",
    "failovers": "goings on elsewhere, amid the turn",
    "trace_id": "of the trace that the call belongs to",
    "error": "what failed, without what the client had sent",
    "text": "beginning of what was spoken or heard; only with `log_text`",
}
_ALWAYS = frozenset(
    {"transport", "method", "status", "kind", "outcome", "duration_ms", "bytes_in", "bytes_out"}
)
"""Told whatever their value; others only where there is something to tell."""


class AccessLog(CallObserver):
    """Writes the lines. Not `successes`: only of calls that ended otherwise than well."""

    def __init__(self, successes: bool = True) -> None:
        self._successes = successes

    def call_ended(self, call: CallRecord) -> None:
        well = call.status == "OK" or (call.status < "4" and call.status.isdigit())
        if not (self._successes or not well):
            return
        level = logging.ERROR if call.failed else logging.DEBUG if call.probe else logging.INFO
        if log.isEnabledFor(level):
            log.log(level, CALL_ENDED, extra={"fields": _told(call_fields(call))})

    def turn_ended(self, call: CallRecord, turn: TurnRecord) -> None:
        if call.conversing and self._successes and turn.turn_id:
            log.info(TURN_ENDED, extra={"fields": _told(turn_fields(call, turn))})


def call_fields(call: CallRecord) -> dict[str, object]:
    """All of `CALL_FIELDS`, in order, of a call that has ended."""
    return {
        "transport": call.transport,
        "method": call.method,
        "status": call.status,
        "principal": call.principal,
        "tenant": call.tenant,
        "conversation_id": call.conversation_id,
        "turn_id": call.turn_id,
        "turns": call.num_turns,
        "heard_turns": call.num_heard,
        "duration_ms": round(call.duration_ms, 1),
        "first_audio_ms": _rounded(call.first_audio_ms),
        "audio_s": round(call.audio_s, 3),
        "heard_s": round(call.heard_s, 3),
        "frames": call.num_frames,
        "prompt_frames": call.prompt_frames,
        "reused_frames": call.reused_frames,
        "finish_reason": call.finish_reason,
        "warnings": call.num_warnings,
        "retries": call.retries,
        "failovers": call.failovers,
        "bytes_in": call.bytes_in,
        "bytes_out": call.bytes_out,
        "peer": call.peer,
        "trace_id": call.trace_id,
        "error": call.error,
        "text": call.text,
    }


def turn_fields(call: CallRecord, turn: TurnRecord) -> dict[str, object]:
    """All of `TURN_FIELDS`, in order, of a turn that has ended."""
    return {
        "kind": "heard" if turn.heard else "spoken",
        "method": call.method,
        "outcome": turn.outcome,
        "finish_reason": turn.finish_reason,
        "principal": call.principal,
        "tenant": call.tenant,
        "conversation_id": call.conversation_id,
        "turn_id": turn.turn_id,
        "duration_ms": round(turn.duration_ms, 1),
        "first_audio_ms": _rounded(turn.first_audio_ms),
        "queue_ms": round(turn.queue_ms, 1),
        "prefill_ms": round(turn.prefill_ms, 1),
        "audio_s": round(turn.audio_s, 3),
        "frames": turn.num_frames,
        "prompt_frames": turn.prompt_frames,
        "reused_frames": turn.reused_frames,
        "text_tokens": turn.text_tokens,
        "text_chars": turn.text_chars,
        "warnings": turn.num_warnings,
        "retries": turn.retries,
        "failovers": turn.failovers,
        "trace_id": call.trace_id,
        "error": turn.error,
        "text": turn.text,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _told(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value or name in _ALWAYS}
