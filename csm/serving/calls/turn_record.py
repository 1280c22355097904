"""What is known of one turn of a call: filled while it runs, read when it ends."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from csm.serving.calls.trace_context import TraceContext

MAX_TEXT_CHARS = 500
"""Of what a turn's record keeps of its text, where it keeps any (`log_text`)."""


@dataclass(slots=True, eq=False)
class TurnRecord:
    """One turn. Times are seconds of the monotonic clock."""

    began_s: float
    """The first that was known of it."""
    keeps_text: bool = False
    heard: bool = False
    """Or it was spoken."""
    turn_id: str = ""
    """Empty: it was refused before it was one."""
    accepted_s: float | None = None
    """There was all that its first sentence needs."""
    ended_s: float | None = None
    first_audio_s: float | None = None
    """When its first audio had been sent."""
    audio_s: float = 0.0
    """Sent, or heard."""
    num_frames: int = 0
    """That the generator made, or the tokenizer of what was heard."""
    prompt_frames: int = 0
    reused_frames: int = 0
    """Of the prompt, from the KV cache."""
    text_tokens: int = 0
    text_chars: int = 0
    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    num_warnings: int = 0
    retries: int = 0
    failovers: int = 0
    finish_reason: str = ""
    """As its terminal says; empty: it had none."""
    outcome: str = ""
    """completed, cancelled, deadline, rejected or failed, as in the metrics."""
    error: str = ""
    """What failed, without a client's words."""
    text: str = ""
    """The beginning of what was said or heard; only where the record keeps it."""
    trace: TraceContext | None = None
    """As `CallRecord.trace`, of the turn."""
    span: Any = None
    """Of the observer that makes spans."""

    def say(self, text: str) -> None:
        """More of its text; kept only where texts may be logged."""
        if self.keeps_text and (left := MAX_TEXT_CHARS - len(self.text)) > 0:
            self.text += text[:left]

    @property
    def duration_ms(self) -> float:
        """From where its time to first audio counts, to its end."""
        since = self.began_s if self.accepted_s is None else self.accepted_s
        return 0.0 if self.ended_s is None else 1000 * (self.ended_s - since)

    @property
    def first_audio_ms(self) -> float | None:
        """From its complete request to its first audio; None: there was none."""
        if self.first_audio_s is None:
            return None
        since = self.began_s if self.accepted_s is None else self.accepted_s
        return 1000 * (self.first_audio_s - since)


current: ContextVar[TurnRecord | None] = ContextVar("turn", default=None)
"""The turn that a task works for, where it works for one alone."""
