"""The instruction sets the native library is built for, and which of them this processor has.

A library is built for a level, not for the very processor that builds it: one made in an image runs
wherever the level does, and every level can be tested on a machine that has the highest.
"""

from __future__ import annotations

import contextlib
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from services.native import tiles


@dataclass(frozen=True)
class Level:
    """A name, the compiler's flags, and what Linux calls the processor features it needs."""

    name: str
    compiler_flags: tuple[str, ...]
    features: frozenset[str]


def _x86(name: str, *features: str) -> Level:
    # The kernel writes avx512_vnni and amx_int8, the compilers avx512vnni and amx-int8.
    flags = tuple(
        f"-m{feature.replace('_', '-' if feature in tiles.FEATURES else '')}"
        for feature in features
    )
    return Level(name, flags, frozenset(features))


_AVX512 = ("avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni")
LEVELS = (
    _x86("amx", *_AVX512, "avx512_bf16", *sorted(tiles.FEATURES)),
    _x86("avx512bf16", *_AVX512, "avx512_bf16"),
    _x86("avx512", *_AVX512),
    _x86("avx2", "avx2", "fma"),
    Level("generic", (), frozenset()),
)
"""From the fastest to the one that runs everywhere."""


def named(name: str) -> Level:
    """Return the level of that name.

    Raises:
        ValueError: there is none.
    """
    for level in LEVELS:
        if level.name == name:
            return level
    allowed = ", ".join(level.name for level in LEVELS)
    raise ValueError(f"level: {name!r} is not allowed, must be one of {allowed}")


def is_x86() -> bool:
    """Whether this processor is a 64-bit x86."""
    return platform.machine().lower() in ("x86_64", "amd64")


def of_this_architecture() -> list[Level]:
    """Return the levels that a compiler here can build for, the fastest first."""
    return [level for level in LEVELS if is_x86() or not level.features]


@cache
def processor_features() -> frozenset[str]:
    """Return this processor's features as Linux names them, less what this process may not use;
    empty where they cannot be read."""
    info = Path("/proc/cpuinfo")
    if not is_x86() or not info.is_file():
        return frozenset()
    for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return tiles.allowed(frozenset(line.partition(":")[2].split()))
    return frozenset()


@cache
def processor() -> str:
    """Return what tells this processor from others whose times differ: its name and features.

    Virtual machines often name the maker alone.
    """
    names = ("model name", "cpu family", "model", "cache size", "CPU implementer", "CPU part")
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        for line in info.splitlines():
            name, _, value = (part.strip() for part in line.partition(":"))
            if name in names:
                found.setdefault(name, value)
    named = [f"{name}: {value}" for name, value in found.items()] or [platform.processor()]
    return "; ".join([platform.machine(), *named, *sorted(processor_features())])


def available() -> list[Level]:
    """Return the levels this processor can run, the fastest first; never empty."""
    return [level for level in LEVELS if level.features <= processor_features()]
