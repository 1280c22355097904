"""What the settings can cost, against what the container allows: told at start, not by a kill."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from csm import errors

log = logging.getLogger(__name__)

CERTAIN = ("process", "weights", "cache", "states", "loading")
"""Last words of the parts that are taken for sure; the others cost only once clients ask for it.
`loading` is there for a moment, but at that moment as surely as the rest."""

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

    Reads versions 1 and 2 of control groups (kernel documentation, admin-guide/cgroup-v2 and
    cgroup-v1/memory). None where nothing is to be read.
    """
    found = []
    for line in _text(own_group).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0":
            found += _upwards(groups, group, "memory.max")
        elif "memory" in controllers.split(","):
            found += _upwards(groups / "memory", group, "memory.limit_in_bytes")
    limits = [n for text in found if text.isdigit() and 0 < (n := int(text)) < _NO_LIMIT_BYTES]
    if limits:
        return MemoryLimit(min(limits), "the container's limit")
    if total := _machine(machine).get("MemTotal"):
        return MemoryLimit(total, "the machine's memory")
    return None


def find_free(machine: Path = _MACHINE) -> MemoryLimit | None:
    """What this process takes and what the machine has left beside all others: above that the
    kernel kills, whatever the limit is. None where nothing is to be read."""
    told = _machine(machine)
    if "MemAvailable" not in told:
        return None
    free = told["MemAvailable"] + told.get("SwapFree", 0)
    return MemoryLimit(resident_bytes() + free, "what the machine has free")


def of_service(name: str, parts: Mapping[str, int]) -> dict[str, int]:
    """`parts` of a service, under names that tell it from the others of one process."""
    short = name.rpartition(".")[2].removesuffix("Service").lower()
    return {f"{short} {part}": size for part, size in parts.items()}


def certain_bytes(parts: Mapping[str, int]) -> int:
    """What of `parts` (bytes by name) is taken for sure, at the moment when it is most."""
    return sum(size for name, size in parts.items() if name.split(" ")[-1] in CERTAIN)


def resident_bytes(statm: Path = Path("/proc/self/statm")) -> int:
    """What this process takes now; 0 where that is not to be read."""
    fields = _text(statm).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


def check(
    parts: Mapping[str, int], limit: MemoryLimit, *, refuse: bool, certain_only: bool = False
) -> None:
    """Warns where `parts` (bytes by name) add up to more than the limit.

    Raises FailedPrecondition, if it is to `refuse`, where what is certain alone is more. With
    `certain_only` what clients may use is not looked at.
    """
    certain = certain_bytes(parts)
    total = certain if certain_only else sum(parts.values())
    if total <= limit.bytes:
        return
    told = ", ".join(
        f"{name} {_mib(size)}" for name, size in sorted(parts.items(), key=lambda p: -p[1]) if size
    )
    if refuse and certain > limit.bytes:
        raise errors.FailedPrecondition(
            f"memory: weights, caches, loading and the process take {_mib(certain)}, "
            f"{limit.source} is {_mib(limit.bytes)} ({told}); raise the limit, or lower slots, "
            "max_positions, max_streams or dtype (`csm models fit` tells what each takes)"
        )
    log.warning(
        "memory: the settings can cost %s in all, %s is %s (%s); the process may be killed when "
        "clients use all that they are allowed",
        _mib(total),
        limit.source,
        _mib(limit.bytes),
        told,
    )


def _upwards(groups: Path, group: str, name: str) -> list[str]:
    """The file `name` of a group and of all around it. A container that sees only a part of the
    tree has its own group at the top, whatever the path says."""
    directory = groups / group.lstrip("/")
    around = [directory, *directory.parents]
    return [_text(each / name) for each in around[: around.index(groups) + 1]]


def _machine(file: Path) -> dict[str, int]:
    """Bytes by name."""
    lines = (line.split() for line in _text(file).splitlines())
    return {
        words[0].rstrip(":"): int(words[1]) * 1024
        for words in lines
        if len(words) > 1 and words[1].isdigit()
    }


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
