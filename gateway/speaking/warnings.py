"""The warnings of a spoken turn, with the characters of the caller's text that they are about."""

from collections.abc import Iterable

from google.rpc import error_details_pb2

from csm.errors import TOO_LONG, FieldViolation, InvalidArgument, ServiceError
from gateway.speaking.attempt_events import EndedEarly, ReachedCap, Skipped
from gateway.speaking.events import TurnWarning, WarningKind
from gateway.text.options import TextWarning
from gateway.text.sentence import Sentence

FIELD = "text"


def skipped(event: Skipped) -> TurnWarning:
    """A sentence that was left out; what the model said of it, without the caller's words."""
    kind = WarningKind.TOO_LONG if _too_long(event.error) else WarningKind.UNSPEAKABLE
    first, end = _span(event.sentence)
    return TurnWarning(kind, FIELD, first, end, f"not spoken: {_told(event.error)}")


def cap_reached(event: ReachedCap) -> TurnWarning:
    """A sentence whose end was not spoken."""
    first, end = _span(event.sentence)
    text = (
        f"cut at {event.audio_ms} ms, the longest audio that a sentence of its length may have; "
        "set max_audio_ms"
    )
    return TurnWarning(WarningKind.CUT, FIELD, first, end, text)


def ended_early(event: EndedEarly) -> TurnWarning:
    """A sentence whose speech cannot be the whole of it."""
    first, end = _span(event.sentence)
    text = f"ended after {event.audio_ms} ms of about {event.sentence.expected_ms} ms expected"
    return TurnWarning(WarningKind.ENDED_EARLY, FIELD, first, end, text)


def of_event(event: Skipped | ReachedCap | EndedEarly) -> TurnWarning:
    """What became of a sentence that was not spoken as it stands."""
    if isinstance(event, Skipped):
        return skipped(event)
    return cap_reached(event) if isinstance(event, ReachedCap) else ended_early(event)


def of_text(warning: TextWarning) -> TurnWarning:
    """What the front end has to say of the text."""
    kind = WarningKind(warning.kind.lower())
    return TurnWarning(kind, FIELD, warning.first_char, warning.end_char, warning.description)


def nothing_spoken(text_chars: int) -> TurnWarning:
    """A turn without a letter or a digit."""
    text = "not spoken: has no letter or digit; there is nothing to speak"
    return TurnWarning(WarningKind.UNSPEAKABLE, FIELD, 0, text_chars, text)


def nothing_heard(text_chars: int) -> TurnWarning:
    """The words of a heard turn that have no letter or digit."""
    text = "left out: has no letter or digit"
    return TurnWarning(WarningKind.UNSPEAKABLE, "end_of_turn.heard_text", 0, text_chars, text)


def of_recording(field: str, description: str) -> TurnWarning:
    """What is odd about a recording that was given as `field`."""
    return TurnWarning(WarningKind.RECORDING, field, 0, 0, description)


def refusal(warnings: Iterable[TurnWarning]) -> InvalidArgument:
    """What refuses a text of which nothing is spoken, for these reasons."""
    return InvalidArgument(
        *(
            FieldViolation(w.field, f"{w.description} (characters {w.first_char}..{w.end_char})")
            for w in warnings
        )
    )


def not_saved(problem: str) -> TurnWarning:
    """What was said up to now is not in the store of conversations."""
    text = f"heard, but not saved: {problem}"
    return TurnWarning(WarningKind.HISTORY_NOT_SAVED, "conversation_id", 0, 0, text)


def _span(sentence: Sentence) -> tuple[int, int]:
    return sentence.first_char, sentence.end_char


def _too_long(error: ServiceError) -> bool:
    return any(
        isinstance(detail, error_details_pb2.ErrorInfo) and detail.reason == TOO_LONG
        for detail in error.details()
    )


def _told(error: ServiceError) -> str:
    for detail in error.details():
        if isinstance(detail, error_details_pb2.BadRequest):
            return "; ".join(v.description for v in detail.field_violations)
    return error.message
