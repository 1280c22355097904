"""What to set, so that as many conversations as can be speak in real time here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.model_tools.fit.capacity import Capacity
from services.model_tools.fit.need import Need, need, settings_for
from services.model_tools.fit.times import CodecTimes, ModelTimes

MOST_STREAMS = 512


@dataclass(frozen=True)
class Advice:
    """What to set for the most conversations, and the memory that it takes; `dtype` is empty where
    none was measured."""

    dtype: str
    conversations: int
    step_ms: float | None
    settings: dict[str, str]
    need: Need | None

    @property
    def limits_bytes(self) -> dict[str, int]:
        """Memory limits of containers: of each model service, and of all in one."""
        if self.need is None:
            return {}
        return {
            "generator": self.need.generator_limit_bytes,
            "tokenizer": self.need.tokenizer_limit_bytes,
            "together": self.need.together_limit_bytes,
        }


NOTHING = Advice("", 0, None, {}, None)
"""Where nothing was measured."""


def advise(
    model: Path,
    measured: Sequence[tuple[str, ModelTimes, Capacity]],
    codec: CodecTimes,
    *,
    auto: str,
    process: int,
    device: str | None,
    threads: int | None,
) -> Advice:
    """Return the settings of the weight type that serves most; `auto` names the one that is taken
    where nobody says, and wins where others are no better."""

    def worth(one: tuple[str, ModelTimes, Capacity]) -> tuple[int, float, bool]:
        name, times, capacity = one
        count = capacity.conversations
        # Where nothing keeps up, the fastest.
        return (count, 0.0 if count else -times.step_ms[1], name == auto)

    measured = [one for one in measured if one[1].step_ms]
    if not measured:
        return NOTHING
    dtype, times, capacity = max(measured, key=worth)
    slots = max(1, capacity.conversations)
    generator, tokenizer = settings_for(
        model, dtype=dtype, slots=slots, device=device, threads=threads
    )
    # A turn that was accepted must not wait for its sound.
    wanted = min(MOST_STREAMS, slots + generator.max_queue)
    streams = max(tokenizer.max_streams, wanted)
    tokenizer = tokenizer.model_copy(update={"max_streams": streams})
    values = {
        "CSM_GENERATOR_DTYPE": dtype,
        "CSM_GENERATOR_SLOTS": str(slots),
        "CSM_GENERATOR_THREADS": str(times.threads),
        "CSM_TOKENIZER_THREADS": str(codec.threads),
        "CSM_TOKENIZER_MAX_STREAMS": str(streams),
    }
    needed = need(process, generator, tokenizer)
    return Advice(dtype, capacity.conversations, times.step_ms[1], values, needed)
