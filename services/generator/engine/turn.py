"""A turn as the engine sees it: plain data, no torch, no gRPC.

A `TurnRequest` goes in; what comes out is in `events`. `EngineTurn` is the engine thread's own
record of what runs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.generator.engine.events import EngineTiming, Finished, FinishReason, FrameCodes, Sink
from services.generator.model.sampling import SamplingParams

MASKED = -1
"""A column of a prompt row that is masked out of the embedding sum."""

PromptRows: TypeAlias = NDArray[np.int64]
"""[T, K + 1]: columns 0..K-1 audio codes, column K a text id, -1 masked out."""


class EngineTurnState(Enum):
    """Where a turn is on its way."""

    QUEUED = "queued"
    PREFILL = "prefill"
    DECODE = "decode"
    PARKED = "parked"
    FINISHED = "finished"


@dataclass(frozen=True, eq=False)
class TurnRequest:
    """What is to be generated.

    `key` names the turn, `owner` the conversation (or the anonymous stream) under which the slot is
    kept between turns. `prompt` [T, K + 1] with T >= 1. `credit_frames` None: no flow control.
    `deadline_s` is a time of `time.monotonic()`. The last `begun_frames` rows of the prompt are
    frames of the turn that exist already: they count for `max_frames` and `min_frames`, and `noise`
    is the random numbers' state behind them (`Runner.noise_after`). Rows of another `cache_scope`
    than its own are never taken over.
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
    begun_frames: int = 0
    noise: object | None = None
    cache_scope: str = ""


NO_SLOT = -1


@dataclass(eq=False)
class Parked:
    """What a turn that gave its slot up, here or in another engine, goes on with. `noise` is its
    random numbers' state, which the runner fills in as the slot is left, and reads as the turn goes
    on."""

    slot: int
    noise: object | None = None


@dataclass(eq=False)
class EngineTurn:
    """A turn under way. `rows` is what its prefill has to bring into the cache: the prompt, and
    behind a pause the frames made so far; `computed` counts the positions of it that are there,
    `prefilled` all that were computed. `slot` is -1 while it has none; `hidden_ready` says that its
    next frame can be sampled at once."""

    request: TurnRequest
    sink: Sink
    accepted_s: float = field(default_factory=time.monotonic)
    state: EngineTurnState = EngineTurnState.QUEUED
    rows: PromptRows = field(init=False)
    slot: int = NO_SLOT
    begun: bool = False
    started: bool = False
    computed: int = 0
    prefilled: int = 0
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
    parked: Parked | None = None
    sink_failed: bool = False

    def __post_init__(self) -> None:
        request = self.request
        self.rows, self.credit = request.prompt, request.credit_frames
        if request.begun_frames:
            self.frames = request.begun_frames
            self.last_codes = request.prompt[-1, :-1]
            self.parked = Parked(NO_SLOT, request.noise)

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
        """Positions still to be computed before its next frame."""
        return len(self.rows) - self.computed

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
            computed_frames=self.prefilled,
            generated_frames=self.frames - self.request.begun_frames,
            timing=EngineTiming(
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
