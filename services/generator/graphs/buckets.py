"""The shapes that graphs are recorded for. Knows nothing of torch."""

from __future__ import annotations

from collections.abc import Sequence

SHORTEST_LENGTH = 256
"""Positions of the shortest attention: reading so few takes no longer than launching it."""


def doublings(first: int, last: int) -> tuple[int, ...]:
    """Return `first`, twice that and so on, and `last` at the end in any case.

    Raises:
        ValueError: a number is below 1.
    """
    for name, value in (("first", first), ("last", last)):
        if value < 1:
            raise ValueError(f"{name}: {value} is not allowed, must be >= 1")
    sizes = []
    while first < last:
        sizes.append(first)
        first *= 2
    return (*sizes, last)


def smallest(sizes: Sequence[int], needed: int) -> int:
    """Return the smallest of the ascending `sizes` that holds `needed`.

    Raises:
        ValueError: none does.
    """
    for size in sizes:
        if size >= needed:
            return size
    raise ValueError(f"needed: {needed} is not allowed, must be <= {sizes[-1]}")
