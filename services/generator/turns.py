"""What a `Generate` stream is told and what it sends back, as plain data.

`messages` makes it of protobuf, and protobuf of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from csm.errors import Internal, ServiceError
from services.generator.context import Prompt
from services.generator.engine.events import Finished, FinishReason
from services.generator.model.sampling import SamplingParams


@dataclass(frozen=True)
class StreamConfig:
    """The first message, checked. `credit_frames` None: no flow control. `seed` None: drawn anew
    for every turn; given: the first turn's, and one more for each turn after it. `cache_scope`:
    whose KV cache its turns may take over; see `csm.serving.calls.cache_scope`."""

    conversation_id: str
    speaker: int
    sampling: SamplingParams
    seed: int | None
    max_frames: int
    credit_frames: int | None
    min_frames: int = 0
    cache_scope: str = ""


@dataclass(frozen=True)
class FlushRequest:
    """The text of a turn is complete. `max_frames`, `seed` and `speaker` None: as the config
    says. `begun` [F, K]: frames of the turn that were made already."""

    turn_id: str
    max_frames: int | None = None
    seed: int | None = None
    speaker: int | None = None
    begun: np.ndarray | None = None


@dataclass(frozen=True)
class GenerationStarted:
    """The turn left the queue."""

    turn_id: str
    prompt_frames: int
    reused_frames: int
    evicted_segments: int
    seed: int


@dataclass(frozen=True, eq=False)
class TurnFrames:
    """The next frames of the turn, codes [F, K]; `first_frame` counts from 0 in the turn."""

    turn_id: str
    codes: np.ndarray
    first_frame: int


@dataclass(frozen=True)
class GenerationCompleted:
    """The turn's terminal. `reason` may differ from the engine's: a turn that was cancelled before
    the client could see its end is CANCELLED. `error` says why it was not spoken, where the reason
    is ERROR."""

    turn_id: str
    reason: FinishReason
    text_tokens: int
    evicted_segments: int
    finished: Finished
    error: ServiceError | None = None


Output: TypeAlias = GenerationStarted | TurnFrames | GenerationCompleted


@dataclass(eq=False)
class RunningTurn:
    """The turn under way. Of `codes`, its frames, [1, K] each, `sent` are the client's: they were
    handed to the writer, or came with the flush."""

    turn_id: str
    key: str
    prompt: Prompt
    seed: int
    codes: list[np.ndarray] = field(default_factory=list)
    sent: int = 0
    cancelled: bool = False
    keep_frames: int | None = None
    finished: Finished | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    submitted_s: float = 0.0
    """When the engine was given it, on the monotonic clock."""

    @property
    def kept_frames(self) -> int:
        """Frames that stay in the context: those that were sent, or what a cancel leaves."""
        if self.cancelled and self.keep_frames is not None:
            return min(self.sent, self.keep_frames)
        return self.sent

    def drop_unsent(self) -> int:
        """Forgets the frames that were not sent; returns how many."""
        unsent = len(self.codes) - self.sent
        del self.codes[self.sent :]
        return unsent

    def completed(self) -> GenerationCompleted:
        """The terminal, once the turn is finished."""
        finished = self.finished
        if finished is None:
            raise RuntimeError(f"turn {self.turn_id!r} is not finished")
        reason, error = finished.reason, None
        if self.cancelled and reason in (FinishReason.EOS, FinishReason.MAX_DURATION):
            reason = FinishReason.CANCELLED
        if reason is FinishReason.ERROR:
            error = Internal("the model failed in this turn; the stream goes on")
        prompt = self.prompt
        return GenerationCompleted(
            self.turn_id, reason, prompt.text_tokens, prompt.evicted, finished, error
        )


MAX_FRAMES_A_MESSAGE = 256


def joined_frames(first: TurnFrames, queue: deque[Output | RunningTurn]) -> tuple[TurnFrames, int]:
    """Takes the frames that follow `first` off the queue, up to a message's worth; returns them in
    one, and how many there are."""
    parts = [first.codes]
    while queue and len(parts) < MAX_FRAMES_A_MESSAGE:
        following = queue[0]
        if not isinstance(following, TurnFrames):
            break
        queue.popleft()
        parts.append(following.codes)
    if len(parts) == 1:
        return first, 1
    return TurnFrames(first.turn_id, np.concatenate(parts), first.first_frame), len(parts)
