"""What has been used up, counted in this process."""

import time
from collections import defaultdict

from gateway.extra import extra

with extra("limits", "quotas"):
    from limits.aio.storage import MemoryStorage


class InProcessQuotas:
    """Implements `QuotaStore`."""

    def __init__(self) -> None:
        """Call inside a running event loop."""
        self._windows = MemoryStorage()
        self._streams: defaultdict[str, set[str]] = defaultdict(set)

    async def add(self, key: str, window_s: int, amount: int) -> int | None:
        return await self._windows.incr(key, window_s, amount)

    async def left_s(self, key: str) -> float | None:
        return await self._windows.get_expiry(key) - time.time()

    async def take(self, key: str, most: int, stream: str) -> bool | None:
        streams = self._streams[key]
        if len(streams) >= most:
            return False
        streams.add(stream)
        return True

    async def release(self, key: str, stream: str) -> None:
        streams = self._streams.get(key)
        if streams is not None:
            streams.discard(stream)
            if not streams:
                del self._streams[key]

    async def stop(self) -> None:
        await self._windows.reset()

    def streams(self) -> dict[str, int]:
        """How many are under way, by key."""
        return {key: len(streams) for key, streams in self._streams.items() if streams}
