"""What the engine tells about itself, for metrics; all of it on the event loop."""

from dataclasses import dataclass, field

from services.generator.engine.events import Event


@dataclass(frozen=True)
class Load:
    """How busy the engine is. `waiting` turns need a slot; `parked` ones gave theirs up for want of
    credit, and need that first."""

    slots: int
    running: int
    waiting: int
    cached: int
    kv_cache_usage_ratio: float
    parked: int = 0


@dataclass(frozen=True)
class StepStats:
    """One turn of the loop, for metrics: the load after it, seconds by phase, slots that advanced,
    slots that sat out for want of credit, idle owners that lost their slot (`evicted`), and those
    whose slot a client took away (`released`)."""

    load: Load
    phases_s: dict[str, float] = field(default_factory=dict)
    advanced: int = 0
    blocked: int = 0
    evicted: int = 0
    released: int = 0


class Observer:
    """Hears of everything on the event loop. This one does nothing."""

    def stats(self, stats: StepStats) -> None:
        """A turn of the loop is over."""

    def event(self, event: Event) -> None:
        """A turn hears this too, right after."""
