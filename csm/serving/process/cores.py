"""How many cores this process may use: torch counts the machine's, a container has fewer."""

from __future__ import annotations

import math
import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def threads_for(asked: int, *, large: bool, most: int) -> int:
    """Threads of a model where a user `asked` for some, 0 for none in particular: then one for a
    model that is not `large`, else `most`, or fewer where there are fewer cores.

    `most` is torch's own number, which knows of OMP_NUM_THREADS, but of no container's limit.
    """
    return asked or (min(most, available()) if large else 1)


def available(groups: Path = _GROUPS, own_group: Path = _OWN_GROUP) -> int:
    """Cores that the process may be scheduled on, or that its control groups' quotas allow.

    A quota of a part of a core counts as a whole one. Reads version 2 of control groups, and a
    container's own group of version 1 (kernel documentation, admin-guide/cgroup-v2 and
    scheduler/sched-bwc).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([cores or 1, *map(math.ceil, _quotas(groups, own_group))]))


def _quotas(groups: Path, own_group: Path) -> list[float]:
    """Cores that each control group around this process allows."""
    found = []
    directory = groups / _text(own_group).partition("0::/")[2].partition("\n")[0]
    for group in (directory, *directory.parents):
        limit, _, period = _text(group / "cpu.max").partition(" ")
        if limit.isdigit() and period.strip().isdigit():
            found.append(int(limit) / int(period))
        if group == groups:
            break
    quota, period = (_text(groups / "cpu" / f"cpu.cfs_{x}_us").strip() for x in ("quota", "period"))
    if quota.isdigit() and period.isdigit():
        found.append(int(quota) / int(period))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
