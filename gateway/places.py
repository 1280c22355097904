"""How much the gateway does at once, and how much of it for one client."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

from csm import errors


class Places:
    """A bound on things under way, and on one client's share of them."""

    def __init__(
        self,
        what: str,
        most: int,
        most_per_client: int | None = None,
        on_count: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`what` names them in the refusal, e.g. "turns are spoken"."""
        self._what = what
        self._most = most
        self._most_per_client = most_per_client
        self._on_count = on_count
        self._clients: Counter[str] = Counter()
        self._count = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextlib.contextmanager
    def taken(self, client: str) -> Iterator[None]:
        """One place while the block runs. Raises `QueueFull`."""
        if self._count >= self._most:
            raise errors.QueueFull(f"{self._most} {self._what}, as many as are allowed")
        share = self._most_per_client
        if share is not None and self._clients[client] >= share:
            raise errors.QueueFull(
                f"{share} {self._what} for this client, as many as one client may have"
            )
        self._count += 1
        self._clients[client] += 1
        self._empty.clear()
        self._on_count(self._count)
        try:
            yield
        finally:
            self._count -= 1
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]
            self._on_count(self._count)
            if not self._count:
                self._empty.set()

    async def empty(self, timeout_s: float) -> None:
        """Returns when none is taken, or after the timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
