"""How many segments of each conversation were ever left out, so that each is counted once.

A caller sends a conversation's history anew with every call, and what does not fit is left out
anew every time.
"""

from __future__ import annotations

from collections import OrderedDict

MAX_OWNERS = 4096
"""Conversations remembered; of those used longest ago the count starts over."""


class LeftOut:
    """Segments left out so far, by owner."""

    def __init__(self, max_owners: int = MAX_OWNERS) -> None:
        self._max_owners = max_owners
        self._counts: OrderedDict[str, int] = OrderedDict()

    def newly(self, owner: str, count: int) -> int:
        """How many of the `count` oldest segments that are left out now were not so before."""
        before = self._counts.pop(owner, 0)
        self._counts[owner] = count
        if len(self._counts) > self._max_owners:
            self._counts.popitem(last=False)
        # A shorter history than before: the caller forgets its beginning too.
        return max(0, count - before)

    def forget(self, owner: str) -> None:
        """The owner will not come back."""
        self._counts.pop(owner, None)
