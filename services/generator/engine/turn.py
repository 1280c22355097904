"""A turn as the engine sees it: plain data, no torch, no gRPC.

A `TurnRequest` goes in; `Started`, `FrameReady` and exactly one `Finished` come out, each handed to
the turn's sink on the event loop. `Turn` is the engine thread's own record of what runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from services.generator.model.sampler import SamplingParams

FRAME_MS = 80
"""Milliseconds of audio in a frame (12.5 Hz)."""

MASKED = -1
"""A column of a prompt row that is masked out of the embedding sum."""

PromptRows: TypeAlias = NDArray[np.int64]
"""[T, K + 1]: columns 0..K-1 audio codes, column K a text id, -1 masked out."""

FrameCodes: TypeAlias = NDArray[np.int64]
"""[K]: the codes of one frame."""


class FinishReason(Enum):
    """Why a turn ended; the values are the labels of the metric."""

    EOS = "eos"
    MAX_DURATION = "max_duration"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    SHUTDOWN = "shutdown"
    ERROR = "error"


class TurnState(Enum):
    """Where a turn is on its way."""

    QUEUED = "queued"
    PREFILL = "prefill"
    DECODE = "decode"
    FINISHED = "finished"


@dataclass(frozen=True, eq=False)
class TurnRequest:
    """What is to be generated.

    `key` names the turn, `owner` the conversation (or the anonymous stream) under which the slot is
    kept between turns. `prompt` [T, K + 1] with T >= 1. `credit_frames` None: no flow control.
    `deadline_s` is a time of `time.monotonic()`.
    """

    key: str
    owner: str
    prompt: PromptRows
    sampling: SamplingParams
    seed: int
    max_frames: int
    credit_frames: int | None = None
    deadline_s: float | None = None
    min_frames: int = 0


@dataclass(frozen=True)
class Timing:
    """Where the time of a turn went, in seconds; None for what it never reached."""

    queue_s: float | None
    prefill_s: float | None
    first_frame_s: float | None
    total_s: float


@dataclass(frozen=True)
class Started:
    """The turn has a slot and its prefill begins."""

    prompt_frames: int
    reused_frames: int
    queue_s: float


@dataclass(frozen=True, eq=False)
class FrameReady:
    """One frame: `codes` [K], its index in the turn, and the seconds since the one before."""

    codes: FrameCodes
    index: int
    gap_s: float | None
    first_frame_s: float


@dataclass(frozen=True)
class Finished:
    """The turn's only terminal. `error` is for the log, never for a caller."""

    reason: FinishReason
    prompt_frames: int
    reused_frames: int
    computed_frames: int
    generated_frames: int
    timing: Timing
    cancel_latency_s: float | None = None
    error: BaseException | None = None


Event: TypeAlias = Started | FrameReady | Finished
Sink: TypeAlias = Callable[[Event], None]


@dataclass(eq=False)
class Turn:
    """A turn under way. `computed` counts the prompt's positions that are in the cache; `slot` is
    -1 while it has none; `hidden_ready` says that its next frame can be sampled at once."""

    request: TurnRequest
    sink: Sink
    accepted_s: float = field(default_factory=time.monotonic)
    state: TurnState = TurnState.QUEUED
    slot: int = -1
    begun: bool = False
    computed: int = 0
    reused: int = 0
    hidden_ready: bool = False
    frames: int = 0
    last_codes: FrameCodes | None = None
    credit: int | None = None
    slot_s: float | None = None
    prefill_began_s: float | None = None
    prefilled_s: float | None = None
    first_frame_s: float | None = None
    last_frame_s: float | None = None
    blocked_since_s: float | None = None

    def __post_init__(self) -> None:
        self.credit = self.request.credit_frames

    @property
    def has_credit(self) -> bool:
        """Whether another frame may be made."""
        return self.credit is None or self.credit > 0

    @property
    def may_end(self) -> bool:
        """Whether its next frame may be the EOS frame."""
        return self.frames >= self.request.min_frames

    @property
    def remaining(self) -> int:
        """Prompt positions still to be computed."""
        return len(self.request.prompt) - self.computed

    def finished(
        self,
        reason: FinishReason,
        now: float,
        *,
        requested_s: float | None = None,
        error: BaseException | None = None,
    ) -> Finished:
        """The terminal of this turn; `requested_s` is when a cancel was asked for."""
        began, done = self.prefill_began_s, self.prefilled_s
        return Finished(
            reason=reason,
            prompt_frames=len(self.request.prompt),
            reused_frames=self.reused,
            computed_frames=self.computed - self.reused,
            generated_frames=self.frames,
            timing=Timing(
                queue_s=None if self.slot_s is None else self.slot_s - self.accepted_s,
                prefill_s=None if began is None or done is None else done - began,
                first_frame_s=(
                    None if self.first_frame_s is None else self.first_frame_s - self.accepted_s
                ),
                total_s=now - self.accepted_s,
            ),
            cancel_latency_s=None if requested_s is None else now - requested_s,
            error=error,
        )
