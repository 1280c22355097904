"""Whether the model keeps real time on this machine: measured in the warm-up, told in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from services.generator.engine.engine import Engine
from services.generator.engine.turn import PromptRows
from services.generator.model.sampling import SamplingParams
from services.generator.step_time import step_times_s

WARM_UP_STEPS = 3
"""First calls allocate, tune and compile; the fastest of these shows what comes after them."""


@dataclass(frozen=True)
class Pace:
    """Milliseconds of a step, with one turn and with one in every slot, against those of audio that
    a frame lasts. None: not measured."""

    frame_ms: float
    one_ms: float | None
    slots: int
    all_ms: float | None = None

    @property
    def turns_in_real_time(self) -> int | None:
        """How many turns at once keep up, of the slots, by a straight line between the two."""
        if self.one_ms is None:
            return None
        if self.one_ms > self.frame_ms:
            return 0
        if self.all_ms is None or self.all_ms <= self.frame_ms or self.slots == 1:
            return self.slots
        grow_ms = (self.all_ms - self.one_ms) / (self.slots - 1)
        return 1 + int((self.frame_ms - self.one_ms) / grow_ms)

    def warning(self, dtype: str, threads: int, device: str) -> str | None:
        """What to tell an operator, with the two numbers and what to change; None: it keeps up."""
        turns = self.turns_in_real_time
        if turns == 0:
            return (
                f"real time: one turn takes {self.one_ms:.0f} ms a frame here, and a frame is "
                f"{self.frame_ms:.0f} ms of speech: it is heard with gaps ({_now(dtype, device)}, "
                f"{threads} threads); {_faster(dtype, device)} (`csm models fit` measures each)"
            )
        if turns is not None and turns < self.slots:
            return (
                f"real time: turns in all {self.slots} slots take {self.all_ms:.0f} ms a frame "
                f"here, and a frame is {self.frame_ms:.0f} ms of speech: about {turns} keep up; "
                f"set slots to {turns}, so that the others wait or are refused, or "
                f"{_faster(dtype, device)} (`csm models fit` measures each)"
            )
        return None


async def measure(
    engine: Engine, prompt: PromptRows, sampling: SamplingParams, frame_ms: float, slots: int
) -> Pace:
    """Run a few frames of one turn; where that keeps up, a few of as many as there are slots.

    Raises:
        StepError: the model failed.
    """
    one = _ms(await step_times_s(engine, prompt, sampling, 1, steps=WARM_UP_STEPS))
    if slots == 1 or one is None or one > frame_ms:
        return Pace(frame_ms, one, slots)
    every = await step_times_s(engine, prompt, sampling, slots, steps=WARM_UP_STEPS)
    return Pace(frame_ms, one, slots, _ms(every))


def _ms(gaps_s: list[float]) -> float | None:
    # A neighbour on the machine makes a step longer, never shorter.
    return 1000 * min(gaps_s) if gaps_s else None


def _now(dtype: str, device: str) -> str:
    return f"{dtype} on {device}"


def _faster(dtype: str, device: str) -> str:
    more = "give it more cores, or a GPU, or take a smaller model"
    if device != "cpu":
        return "take a faster GPU or a smaller model"
    return more if dtype == "int8" else f"set dtype to int8, {more}"
