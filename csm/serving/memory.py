"""What the settings can cost, against what the container allows: told at start, not by a kill."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from csm import errors

log = logging.getLogger(__name__)

CERTAIN = ("process", "weights", "cache", "states")
"""Last words of the parts that are taken for sure; the others cost only once clients ask for it."""

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")
_MACHINE = Path("/proc/meminfo")
# Version 1 of control groups says "no limit" by the largest number of pages.
_NO_LIMIT_BYTES = 1 << 60


@dataclass(frozen=True)
class MemoryLimit:
    """How many bytes this process may take, and who says so."""

    bytes: int
    source: str


def find_limit(
    groups: Path = _GROUPS, own_group: Path = _OWN_GROUP, machine: Path = _MACHINE
) -> MemoryLimit | None:
    """The smallest limit of the control groups around this process, else the machine's memory.

    Reads version 2 of control groups, and a container's own group of version 1 (kernel
    documentation, admin-guide/cgroup-v2 and cgroup-v1/memory). None where nothing is to be read.
    """
    found = []
    directory = groups / _text(own_group).partition("0::/")[2].partition("\n")[0]
    for group in (directory, *directory.parents):
        found.append(_text(group / "memory.max"))
        if group == groups:
            break
    found.append(_text(groups / "memory" / "memory.limit_in_bytes"))
    limits = [n for text in found if text.isdigit() and 0 < (n := int(text)) < _NO_LIMIT_BYTES]
    if limits:
        return MemoryLimit(min(limits), "the container's limit")
    for line in _text(machine).splitlines():
        if line.startswith("MemTotal:"):
            return MemoryLimit(int(line.split()[1]) * 1024, "the machine's memory")
    return None


def resident_bytes(statm: Path = Path("/proc/self/statm")) -> int:
    """What this process takes now; 0 where that is not to be read."""
    fields = _text(statm).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


def check(parts: Mapping[str, int], limit: MemoryLimit, *, refuse: bool) -> None:
    """Warns where `parts` (bytes by name) add up to more than the limit.

    Raises FailedPrecondition, if it is to `refuse`, where what is certain alone is more.
    """
    total = sum(parts.values())
    if total <= limit.bytes:
        return
    certain = sum(size for name, size in parts.items() if name.split(" ")[-1] in CERTAIN)
    told = ", ".join(
        f"{name} {_mib(size)}" for name, size in sorted(parts.items(), key=lambda p: -p[1]) if size
    )
    if refuse and certain > limit.bytes:
        raise errors.FailedPrecondition(
            f"memory: weights, caches and the process take {_mib(certain)}, {limit.source} is "
            f"{_mib(limit.bytes)} ({told}); raise the limit, or lower slots, max_positions, "
            "max_streams or dtype"
        )
    log.warning(
        "memory: the settings can cost %s in all, %s is %s (%s); the process may be killed when "
        "clients use all that they are allowed",
        _mib(total),
        limit.source,
        _mib(limit.bytes),
        told,
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
