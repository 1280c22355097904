"""What a turn's sink hears: plain data, no torch, no gRPC.

`Started`, `FrameReady` and exactly one `Finished` come out of a turn, each handed to its sink on
the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from csm.finish_reason import FinishReason as FinishReason

FrameCodes: TypeAlias = NDArray[np.int64]
"""[K]: the codes of one frame."""


@dataclass(frozen=True)
class EngineTiming:
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
    timing: EngineTiming
    cancel_latency_s: float | None = None
    error: BaseException | None = None


Event: TypeAlias = Started | FrameReady | Finished
Sink: TypeAlias = Callable[[Event], None]
