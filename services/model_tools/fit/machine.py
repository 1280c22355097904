"""The machine that a model is measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from csm.serving.process import cores, memory


@dataclass(frozen=True)
class Machine:
    """Where it was measured."""

    processor: str
    cores: int
    limit_bytes: int
    limit_source: str
    free_bytes: int
    load_average: float

    @property
    def room_bytes(self) -> int:
        """What a process may take: the smaller of the limit and what is free."""
        return min(self.limit_bytes, self.free_bytes)

    @property
    def is_busy(self) -> bool:
        """Whether others were at work when the measuring began: then all times are too long."""
        return self.load_average > 0.5 * self.cores


def this_machine() -> Machine:
    """Return what this process may use."""
    limit, free = memory.find_limit(), memory.find_free()
    most = limit.bytes if limit else 1 << 62
    return Machine(
        _processor(),
        cores.available(),
        most,
        limit.source if limit else "none",
        free.bytes if free else most,
        os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
