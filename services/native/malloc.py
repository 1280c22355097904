"""What glibc does with memory that is freed. Nothing here does anything with another C library."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# The most that glibc's own threshold rises to; twice that is then kept at the heap's end.
_MOST_BYTES = 32 * 2**20
_LARGE_BYTES = 2**20


@contextlib.contextmanager
def large_blocks_go_back() -> Iterator[None]:
    """While weights are packed, whose tensors are large and short-lived: each is mapped by itself.

    By itself glibc's threshold rises with the first of them that is freed, and the next ones lie
    in the heap, where whatever is allocated behind them keeps the holes: tens of megabytes of the
    peak, more or fewer by chance (tests/generator/test_generator_loading_peak.py). It costs new
    pages for each: 6 to 14 % of the time of packing csm-1b in int8. Afterwards the threshold is
    where it would have risen to.
    """
    _set(_MMAP_THRESHOLD, _LARGE_BYTES)
    try:
        yield
    finally:
        _set(_MMAP_THRESHOLD, _MOST_BYTES)
        _set(_TRIM_THRESHOLD, 2 * _MOST_BYTES)
        give_back()


def give_back() -> None:
    """Give the system what was freed and what malloc still holds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _set(option: int, num_bytes: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(option, num_bytes)
