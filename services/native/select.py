"""Which of the two ways a model runs: natively where that is possible and wanted, or by torch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, TypeVar

from services.native.build import Library, NativeUnavailable
from services.native.levels import Level

log = logging.getLogger(__name__)

NativeMode = Literal["auto", "off", "required"]
"""auto: native where it can be and is faster, torch elsewhere, and the log says why; off: torch;
required: native, or an error."""

Native = TypeVar("Native")
Torch = TypeVar("Torch")


def level_for(library: Library, mode: NativeMode) -> Level:
    """Return the level to load, the best that can be had; compiles it where it must.

    Raises:
        NativeUnavailable: there is none, or by `auto` only one that is slower than torch, whose
            products use what the processor has.
    """
    level = library.best_level()
    if mode == "auto" and not level.features:
        raise NativeUnavailable(f"only level {level.name} can be had, and torch is faster than it")
    return level


def select(
    what: str, mode: NativeMode, native: Callable[[], Native], by_torch: Callable[[], Torch]
) -> Native | Torch:
    """Return what `native` makes where `mode` wants it and it can, else what `by_torch` makes.

    Raises:
        NativeUnavailable: `mode` is required and it cannot be.
    """
    if mode != "off":
        try:
            return native()
        except NativeUnavailable as error:
            if mode == "required":
                raise
            log.warning("%s runs by torch: %s", what, error)
    return by_torch()
