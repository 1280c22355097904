"""A native library as Python sees it: its functions and structs, and how it is loaded."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from services.native import levels
from services.native.build import Library, NativeUnavailable
from services.native.levels import Level

Signatures = Mapping[str, tuple[type | None, tuple[type, ...]]]
"""A library's functions: name to result and arguments, as ctypes wants them."""


class Format(IntEnum):
    """What weights are packed as; the numbers of `Format` in `matrix.hpp`."""

    FP32 = 0
    BF16 = 1
    INT8 = 2


class _StructSize(ctypes.Structure):
    """`StructSize` in `sizes.hpp`."""

    _fields_ = (("name", ctypes.c_char_p), ("bytes", ctypes.c_int64))


@dataclass(frozen=True)
class Interface:
    """What `source/api.cpp` of a library says, written down a second time for ctypes."""

    library: Library
    functions: Signatures
    structs: tuple[type[ctypes.Structure], ...]

    def load(self, level: Level | None = None) -> ctypes.CDLL:
        """Return the library of a level, by default the best that can be had, compiled if needed.

        Raises:
            NativeUnavailable: it can be neither found nor made, does not load, or its structs are
                of other sizes than Python's.
            ValueError: this processor cannot run the level.
        """
        possible = levels.available()
        if level is not None and level not in possible:
            names = ", ".join(each.name for each in possible)
            raise ValueError(f"level: {level.name!r} is not allowed here, must be one of {names}")
        path = self.library.path(level or self.library.best_level())
        try:
            loaded = ctypes.CDLL(str(path))
            sizes = _struct_sizes(loaded)
            for name, (result, arguments) in self.functions.items():
                function = getattr(loaded, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            raise NativeUnavailable(f"{path} cannot be loaded: {error}") from error
        self._compare(path, sizes)
        return loaded

    def _compare(self, path: Path, there: Mapping[str, int]) -> None:
        """A struct of another size would be read past its end, or half: better none of them."""
        here = {struct.__name__: ctypes.sizeof(struct) for struct in self.structs}
        wrong = [
            f"{name} has {there.get(name, 'no')} bytes there and {here.get(name, 'no')} here"
            for name in sorted(here.keys() | there.keys())
            if here.get(name) != there.get(name)
        ]
        if wrong:
            raise NativeUnavailable(f"{path} does not fit this version: {'; '.join(wrong)}")


def _struct_sizes(loaded: ctypes.CDLL) -> dict[str, int]:
    """What the library says of its structs."""
    function = loaded.csm_struct_sizes
    function.restype, function.argtypes = ctypes.POINTER(_StructSize), ()
    listed, sizes = function(), {}
    index = 0
    while name := listed[index].name:
        sizes[name.decode()] = listed[index].bytes
        index += 1
    return sizes
