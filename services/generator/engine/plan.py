"""One step as plain data: what it is to do, and what became of it. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.generator.engine.slots import Copy
from services.generator.engine.turn import MASKED, Parked, PromptRows
from services.generator.model.sampling import SamplingParams


@dataclass(frozen=True, eq=False)
class Begin:
    """A turn takes its slot: how its codes are drawn from here on. `parked`: it goes on, drawing
    where it left off."""

    slot: int
    sampling: SamplingParams
    seed: int
    parked: Parked | None = None


@dataclass(frozen=True, eq=False)
class Prefill:
    """Positions `start`.. of a slot, from prompt rows [T, K + 1]. `last`: the prompt ends here."""

    slot: int
    start: int
    rows: PromptRows
    last: bool


@dataclass(eq=False)
class Plan:
    """One step. `decode` feeds each slot's last frame back at its position; `sample` draws a frame
    from each slot's hidden state, after prefill and decode; those of `unending` must not draw the
    EOS frame yet; turns of `parked` have left their slots. In this order throughout."""

    parked: list[Parked] = field(default_factory=list)
    began: list[Begin] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    prefills: list[Prefill] = field(default_factory=list)
    decode: dict[int, int] = field(default_factory=dict)
    sample: list[int] = field(default_factory=list)
    unending: list[int] = field(default_factory=list)
    blocked: int = 0

    @property
    def slots(self) -> set[int]:
        """Every slot that the step touches."""
        began = {b.slot for b in self.began} | {p.slot for p in self.prefills}
        return began | set(self.decode) | set(self.sample)


@dataclass(eq=False)
class Outcome:
    """What became of a plan: codes [slots, K] where something was sampled, and slots that failed;
    `batch_failed` where no single row was at fault."""

    codes: NDArray[np.int64] | None = None
    failed: dict[int, BaseException] = field(default_factory=dict)
    batch_failed: bool = False
    phases_s: dict[str, float] = field(default_factory=dict)


def frame_row(codes: NDArray[np.int64] | None) -> PromptRows:
    """The prompt row [1, K + 1] that feeding back a frame [K] amounts to."""
    if codes is None:
        raise ValueError("codes: None; there is no frame to feed back")
    return np.append(codes, MASKED)[None]
