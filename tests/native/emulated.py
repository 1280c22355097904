"""Level `amx` on any machine: its sources over AVX-512 and tiles in plain C++ (`emulation/`).

For tests alone. The level is none of `levels.LEVELS`: no setting names it, nothing chooses or ships
it, and its headers lie among the tests.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.native import levels
from services.native.interface import Interface
from services.native.levels import Level

DIRECTORY = Path(__file__).parent / "emulation"
# What a compiler defines for `-mavx512...` and `-mamx...`.
MACROS = ("AVX512VNNI", "AVX512BW", "AVX512VL", "AVX512BF16", "AMX_TILE", "AMX_INT8", "AMX_BF16")


def _level() -> Level:
    digest = hashlib.sha256()
    for path in sorted(DIRECTORY.iterdir()):
        digest.update(path.read_bytes())
    avx2 = levels.named("avx2")
    flags = [f"-I{DIRECTORY}", "-DCSM_EMULATED", *(f"-D__{name}__" for name in MACROS)]
    # Where std::fma is one instruction, minutes become seconds.
    flags += avx2.compiler_flags if avx2 in levels.available() else ()
    return Level(f"emulated{digest.hexdigest()[:8]}", (*flags, "-O2", "-Wno-psabi"), frozenset())


EMULATED = _level()


@dataclass(frozen=True)
class TileUse:
    """What emulated tiles were used for since the library was loaded."""

    faults: int
    held: int
    """Threads that hold tiles now."""
    configurations: int
    products: int


def reader(interface: Interface) -> Callable[[], TileUse]:
    """Return what reads the use of tiles of the emulated library."""
    function = ctypes.CDLL(str(interface.library.path(EMULATED))).csm_emulated_tiles
    function.restype, function.argtypes = None, (ctypes.POINTER(ctypes.c_int64),)

    def read() -> TileUse:
        found = (ctypes.c_int64 * 4)()
        function(found)
        return TileUse(*found)

    return read


@contextlib.contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, interface: Interface) -> Iterator[Level]:
    """The level, which may be loaded for the length of a test.

    No instruction may be a fault, and no thread hold tiles at its end.
    """
    real = levels.available()
    monkeypatch.setattr(levels, "available", lambda: [EMULATED, *real])
    use = reader(interface)
    yield EMULATED
    after = use()
    assert (after.faults, after.held) == (0, 0)
