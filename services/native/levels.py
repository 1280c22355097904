"""The instruction sets the native library is built for, and which of them this processor has.

A library is built for a level, not for the very processor that builds it: one made in an image runs
wherever the level does, and every level can be tested on a machine that has the highest.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from services.native import tiles


@dataclass(frozen=True)
class Level:
    """A name, the compiler's flags, what Linux calls the processor features it needs, and the
    architecture that has them ("": any)."""

    name: str
    compiler_flags: tuple[str, ...]
    features: frozenset[str]
    architecture: str = ""


def _x86(name: str, *features: str) -> Level:
    # The kernel writes avx512_vnni and amx_int8, the compilers avx512vnni and amx-int8.
    flags = tuple(
        f"-m{feature.replace('_', '-' if feature in tiles.FEATURES else '')}"
        for feature in features
    )
    return Level(name, flags, frozenset(features), "x86")


def _arm(name: str, march: str, *features: str) -> Level:
    # Every 64-bit ARM has NEON, so that the compiler alone cannot tell this level from generic.
    flags = ("-DCSM_NEON", f"-march={march}")
    return Level(name, flags, frozenset(features), "arm")


_AVX512 = ("avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni")
LEVELS = (
    _x86("amx", *_AVX512, "avx512_bf16", *sorted(tiles.FEATURES)),
    _x86("avx512bf16", *_AVX512, "avx512_bf16"),
    _x86("avx512", *_AVX512),
    _x86("avx2", "avx2", "fma"),
    _arm("neonbf16", "armv8.2-a+dotprod+i8mm+bf16", "asimd", "asimddp", "i8mm", "bf16"),
    _arm("neondot", "armv8.2-a+dotprod", "asimd", "asimddp"),
    _arm("neon", "armv8-a", "asimd"),
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


def architecture() -> str:
    """Return what this processor is: "x86" or "arm", of 64 bits both, or "" for any other."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        return "x86"
    return "arm" if machine in ("aarch64", "arm64") else ""


def of_this_architecture() -> list[Level]:
    """Return the levels that a compiler here can build for, the fastest first."""
    return [level for level in LEVELS if level.architecture in ("", architecture())]


@cache
def processor_features() -> frozenset[str]:
    """Return this processor's features as Linux names them, less what this process may not use;
    empty where they cannot be read."""
    if architecture() == "arm":
        return _arm_features()
    info = Path("/proc/cpuinfo")
    if architecture() != "x86" or not info.is_file():
        return frozenset()
    for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return tiles.allowed(frozenset(line.partition(":")[2].split()))
    return frozenset()


# Feature: which word of the auxiliary vector and which bit of it Linux has it in, and what macOS
# calls it ("": every processor of macOS has it).
_ARM_FEATURES = {
    "asimd": (16, 1, ""),
    "asimddp": (16, 20, "hw.optional.arm.FEAT_DotProd"),
    "i8mm": (26, 13, "hw.optional.arm.FEAT_I8MM"),
    "bf16": (26, 14, "hw.optional.arm.FEAT_BF16"),
}


def _arm_features() -> frozenset[str]:
    """By the C library: in an emulator /proc/cpuinfo is that of the machine around it."""
    has = _has_on_macos if sys.platform == "darwin" else _has_on_linux
    with contextlib.suppress(OSError, AttributeError):
        return frozenset(name for name in _ARM_FEATURES if has(name))
    return frozenset()


def _has_on_linux(feature: str) -> bool:
    word, bit, _ = _ARM_FEATURES[feature]
    return bool(_auxiliary(word) >> bit & 1)


def _auxiliary(word: int) -> int:
    """A number of the auxiliary vector, in which the kernel says what there is."""
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.restype, getauxval.argtypes = ctypes.c_ulong, (ctypes.c_ulong,)
    return int(getauxval(word))


def _has_on_macos(feature: str) -> bool:
    name = _ARM_FEATURES[feature][2]
    if not name:
        return True
    found, size = ctypes.c_int64(0), ctypes.c_size_t(8)
    read = ctypes.CDLL(None).sysctlbyname
    # What an older system has not heard of is not there; a number of four bytes are the lower four.
    failed = read(name.encode(), ctypes.byref(found), ctypes.byref(size), None, ctypes.c_size_t(0))
    return not failed and found.value != 0


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
