"""Which of the two ways a model runs: natively where that is possible and wanted, or by torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from services.native import choice, levels
from services.native.build import Library, NativeUnavailable
from services.native.choice import Bench, TorchIsFaster
from services.native.levels import Level

log = logging.getLogger(__name__)

NativeMode = Literal[
    "auto", "off", "required",
    "amx", "avx512bf16", "avx512", "avx2", "neonbf16", "neondot", "neon", "generic",
]  # fmt: skip
"""auto: whichever is fastest here, a native level or torch, and the log says why; off: torch;
required: the fastest native level, or an error; a level: that one, or an error."""

COST = "steps take about three to five times as long (docs/native.md)"

Native = TypeVar("Native")
Torch = TypeVar("Torch")


def level_for(
    what: str, library: Library, mode: NativeMode, subject: Mapping[str, object], bench: Bench
) -> Level:
    """Return the level to load: the fastest of those that there are; compiles where it must.

    Args:
        what: the model, for the log.
        library: its native library.
        mode: any but off.
        subject: what times depend on beside processor and libraries (`choice.choose`).
        bench: makes what is timed; not asked where there is nothing to choose.

    Raises:
        NativeUnavailable: there is none, or not the one that `mode` names.
        TorchIsFaster: by `auto`, torch is faster than every level.
    """
    if mode not in ("auto", "required"):
        return _pinned(library, mode)
    possible = library.usable_levels(generic=mode == "required")
    if mode == "required" and len(possible) == 1:
        return possible[0]
    return choice.choose(what, library, possible, subject, bench, torch_allowed=mode == "auto")


def _pinned(library: Library, name: str) -> Level:
    level, possible = levels.named(name), levels.available()
    if level not in possible:
        names = ", ".join(each.name for each in possible)
        raise NativeUnavailable(f"this processor cannot run level {name}; it can run {names}")
    library.path(level)
    return level


def select(
    what: str, mode: NativeMode, native: Callable[[], Native], by_torch: Callable[[], Torch]
) -> Native | Torch:
    """Return what `native` makes where `mode` wants it and it can, else what `by_torch` makes.

    Raises:
        NativeUnavailable: `mode` is required, or a level, and it cannot be.
    """
    if mode != "off":
        try:
            return native()
        except TorchIsFaster as error:
            log.info("%s runs by torch: %s", what, error)
        except NativeUnavailable as error:
            if mode != "auto":
                raise
            log.warning("%s runs by torch, and %s: %s", what, COST, error)
    return by_torch()
