"""Where is counted what has been used up."""

from typing import Protocol


class QuotaStore(Protocol):
    """Amounts in windows of time, and streams under way, by key.

    Nothing raises because the store is away: it answers None, and nothing is refused for it. A
    window begins with the first amount that is added, and ends after its seconds.
    """

    async def add(self, key: str, window_s: int, amount: int) -> int | None:
        """Adds an amount, also a negative one or none; what the window has then."""

    async def left_s(self, key: str) -> float | None:
        """Seconds until the window of a key ends."""

    async def take(self, key: str, most: int, stream: str) -> bool | None:
        """Counts a stream by an id of its own; False: there are as many as may be."""

    async def release(self, key: str, stream: str) -> None:
        """The stream is over; nothing where it was not counted."""

    async def stop(self) -> None:
        """Lets go of what it holds."""
