"""Leave to use the tile registers of AMX: 8 KiB a thread that Linux gives only to who asks.

Asked for once a process, threads that are there and will be included. Where it cannot be had, the
processor counts as one without tiles (`levels.py`), and the log says why.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from functools import cache

log = logging.getLogger(__name__)

FEATURES = frozenset({"amx_tile", "amx_int8", "amx_bf16"})
"""What level `amx` needs beside AVX-512, as Linux names it."""

_ARCH_PRCTL = 158
_GET_SUPPORTED = 0x1021
_REQUEST_PERMISSION = 0x1023
_TILE_DATA = 18
"""The number of the tiles among the states that XSAVE knows."""


def allowed(features: frozenset[str]) -> frozenset[str]:
    """Return these features of the processor less those of tiles that cannot be used here."""
    if not features >= FEATURES:
        return features
    reason = refusal()
    if reason is None:
        return features
    log.warning("level amx is left out, though the processor has tiles: %s", reason)
    return features - FEATURES


@cache
def refusal() -> str | None:
    """Ask the system for tiles; return why this process may not use them, None: it may."""
    if sys.platform != "linux":
        return f"there is no way to ask {sys.platform} for them"
    supported = ctypes.c_uint64()
    error = _arch_prctl(_GET_SUPPORTED, ctypes.addressof(supported))
    if error:
        return f"Linux is older than 5.16 ({os.strerror(error)})"
    if not supported.value >> _TILE_DATA & 1:
        return "the system does not keep them (XCR0)"
    error = _arch_prctl(_REQUEST_PERMISSION, _TILE_DATA)
    if error:
        return f"the system refused them ({os.strerror(error)})"
    return None


def _arch_prctl(code: int, argument: int) -> int:
    """The call's errno, 0 where it was carried out."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype, call.argtypes = ctypes.c_long, (ctypes.c_long,) * 3
    return ctypes.get_errno() if call(_ARCH_PRCTL, code, argument) else 0
