"""What glibc does with freed memory, as training on a CPU needs it."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_TWO_GIB = 2**31 - 1


def keep_freed_memory() -> None:
    """Have malloc keep what it frees instead of giving it back to the kernel.

    A step frees and takes again hundreds of activations of tens of megabytes. Given back, each is
    zeroed and mapped anew, page by page. Does nothing where the C library is another one.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
        mallopt(option, _TWO_GIB)
    mallopt(_M_TOP_PAD, 64 * 2**20)
