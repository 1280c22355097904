"""How the last requests to speak ended, for those who got only the audio."""

from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from typing import Any

from csm import errors
from gateway.http.errors import error_body
from gateway.speaking.events import FinishReason, SpeechTurnCompleted, TurnWarning

MAX_KEPT = 1024


@dataclass
class SpeechOutcome:
    """One request to speak."""

    request_id: str
    turn_id: str = ""
    seed: int | None = None
    first_audio_ms: float | None = None
    """From the request to its first audio, as the gateway saw it."""
    warnings: list[str] = field(default_factory=list)
    """What HTTP has to say of the request, beside the turn's own warnings."""
    completed: SpeechTurnCompleted | None = None
    error: errors.ServiceError | None = None
    """Why there was no turn at all, or none to its end."""
    left: bool = False
    """The client went away, which ended the turn."""

    @property
    def finish_reason(self) -> FinishReason | None:
        """None: it is still spoken, or never was."""
        if self.left:
            return FinishReason.CANCELLED
        return self.completed.finish_reason if self.completed is not None else None

    def as_json(self) -> dict[str, Any]:
        """The answer to who asks."""
        completed = self.completed
        error = self.error or (completed.error if completed is not None else None)
        over = completed is not None or error is not None or self.left
        return {
            "object": "audio.speech",
            "request_id": self.request_id,
            "status": "completed" if over else "in_progress",
            "finish_reason": self.finish_reason,
            "turn_id": self.turn_id or None,
            "seed": self.seed,
            "first_audio_ms": self.first_audio_ms,
            "usage": asdict(completed.usage) if completed is not None else None,
            "timing": asdict(completed.timing) if completed is not None else None,
            "warnings": [
                *({"kind": "ignored", "description": text} for text in self.warnings),
                *(map(warning_json, completed.warnings) if completed is not None else ()),
            ],
            "error": error_body(error) if error is not None else None,
        }


class Outcomes:
    """`MAX_KEPT` of them, by owner and id of the request; the oldest of the owner who has most goes
    first."""

    def __init__(self) -> None:
        self._kept: dict[str, OrderedDict[str, SpeechOutcome]] = {}
        self._count = 0

    def begin(self, request_id: str, *, owner: str) -> SpeechOutcome:
        """A request of an owner's has come. Of two with one id the later one is kept."""
        outcome = SpeechOutcome(request_id)
        own = self._kept.setdefault(owner, OrderedDict())
        if own.pop(request_id, None) is None:
            self._count += 1
        own[request_id] = outcome
        if self._count > MAX_KEPT:
            self._drop_one()
        return outcome

    def get(self, request_id: str, *, owner: str) -> SpeechOutcome:
        """Raises `NotFound`, also for the id of another owner's request."""
        own = self._kept.get(owner)
        outcome = own.get(request_id) if own is not None else None
        if outcome is None:
            hint = f"the last {MAX_KEPT} requests of this gateway are known"
            raise errors.NotFound("request", request_id[:64], hint)
        return outcome

    def _drop_one(self) -> None:
        most = max(self._kept, key=lambda owner: len(self._kept[owner]))
        self._kept[most].popitem(last=False)
        self._count -= 1
        if not self._kept[most]:
            del self._kept[most]


def warning_json(warning: TurnWarning) -> dict[str, Any]:
    """A warning about a turn."""
    return {
        "kind": warning.kind,
        "field": "input" if warning.field == "text" else warning.field,
        "first_char": warning.first_char,
        "end_char": warning.end_char,
        "description": warning.description,
    }
