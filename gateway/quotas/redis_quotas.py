"""What has been used up, counted in Redis or Valkey: gateways that name one store share it.

Windows are those of the package limits (`csm:quotas:KEY`, one number that expires). Streams are a
sorted set a key (`csm:quotas:KEY:streams`), each with the time when it expires by Redis's clock:
the gateway that has it renews it, so the streams of a gateway that died are free after a lease.
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from redis.asyncio import Redis

from csm.serving.metrics import GatewayMetrics
from gateway.conversations.redis.commands import FAILURES, told_failure
from gateway.conversations.redis.connection import connect
from gateway.extra import extra
from gateway.quotas.script_batch import ScriptBatch

with extra("limits", "quotas"):
    from limits.aio.storage import RedisStorage

PREFIX = "csm:quotas"
AWAY_S = 2.0
"""After a failure the store is not asked for so long: a call waits for it once, not each call."""
ANY = 1 << 50

STREAMS = """
-- key; most, lease_ms, ids -> 1: all are counted, 0: there are as many as may be
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local count = redis.call('ZCARD', KEYS[1])
for i = 3, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) then count = count + 1 end
end
if count > tonumber(ARGV[1]) then return 0 end
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

log = logging.getLogger(__name__)
T = TypeVar("T")


class RedisQuotas:
    """Implements `QuotaStore`."""

    def __init__(
        self, url: str, metrics: GatewayMetrics, *, timeout_s: float, lease_s: float
    ) -> None:
        """Call inside a running event loop. Raises `ValueError` where the URL is wrong."""
        if "+cluster://" in url[:20]:
            raise ValueError(
                "quota_store_url: a cluster is not taken; allowed are redis://, rediss://, "
                "unix://, redis+sentinel://"
            )
        try:
            client = connect(url, timeout_s)
        except ValueError as error:
            raise ValueError(f"quota_{error}") from None
        if not isinstance(client, Redis):
            raise TypeError("no client of one server")
        self._client: Redis = client
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._lease_s = lease_s
        self._lease_ms = int(lease_s * 1000)
        # The library takes the pool, whatever the URL that it was made of.
        self._windows = RedisStorage(
            "async+redis://localhost:6379",
            implementation="redispy",
            key_prefix=PREFIX,
            connection_pool=client.connection_pool,  # type: ignore[arg-type]
        )
        self._batch = ScriptBatch(self._client)
        self._adding = client.register_script(self._windows.bridge.SCRIPT_INCR_EXPIRE)
        self._counting = self._client.register_script(STREAMS)
        self._held: defaultdict[str, set[str]] = defaultdict(set)
        self._away = False
        self._again_s = 0.0
        self._stopping = asyncio.Event()
        self._renewing = asyncio.create_task(self._renew())

    async def add(self, key: str, window_s: int, amount: int) -> int | None:
        # The library's own script for a window, sent with the others of the same call.
        whole = self._windows.bridge.prefixed_key(key)
        count = await self._ask(lambda: self._batch.run(self._adding, whole, window_s, amount))
        return None if count is None else int(count)

    async def left_s(self, key: str) -> float | None:
        # Not the library's own answer, which is of whole seconds and up to one too early.
        whole = self._windows.bridge.prefixed_key(key)
        left_ms = await self._ask(partial(self._client.pttl, whole))
        return None if left_ms is None else max(0, left_ms) / 1000

    async def take(self, key: str, most: int, stream: str) -> bool | None:
        # Held before it is counted: where the store is away it is counted when it is back.
        self._held[key].add(stream)
        taken = await self._ask(lambda: self._count(key, most, [stream]))
        if taken is False:
            self._drop(key, stream)
        return taken

    async def release(self, key: str, stream: str) -> None:
        self._drop(key, stream)
        await self._ask(partial(self._forget, key, stream))

    async def stop(self) -> None:
        # Not by a cancel, which the client of Redis may swallow.
        self._stopping.set()
        await asyncio.gather(self._renewing, return_exceptions=True)
        await self._client.aclose()

    # --- inside ---

    async def _count(self, key: str, most: int, streams: list[str]) -> bool:
        answer = self._batch.run(self._counting, _streams(key), most, self._lease_ms, *streams)
        return bool(await answer)

    def _drop(self, key: str, stream: str) -> None:
        if key in self._held:
            self._held[key].discard(stream)
            if not self._held[key]:
                del self._held[key]

    async def _renew(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._lease_s / 3):
                    await self._stopping.wait()
                    return
            for key, held in list(self._held.items()):
                streams = list(held)
                await self._ask(partial(self._count, key, ANY, streams))
                # What ended meanwhile may have been counted anew.
                for gone in set(streams) - self._held.get(key, set()):
                    await self._ask(partial(self._forget, key, gone))

    async def _forget(self, key: str, stream: str) -> None:
        await self._client.zrem(_streams(key), stream)

    async def _ask(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        began, outcome = time.monotonic(), "cancelled"
        if self._away:
            if began < self._again_s:
                self._metrics.store_operations.labels("quota", "unreachable").inc()
                return None
            # One asks whether it is back; the others do not wait meanwhile.
            self._again_s = began + self._timeout_s + AWAY_S
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await operation()
        except FAILURES as error:
            outcome, told = told_failure(error, "quotas")
            self._again_s = time.monotonic() + AWAY_S
            if not self._away:
                self._away = True
                log.warning("%s; nothing is refused for a quota meanwhile", told)
            return None
        else:
            outcome = "ok"
            if self._away:
                self._away = False
                log.info("the store of quotas answers")
            return answer
        finally:
            self._metrics.store_operations.labels("quota", outcome).inc()
            self._metrics.store_seconds.labels("quota").observe(time.monotonic() - began)


def _streams(key: str) -> str:
    return f"{PREFIX}:{key}:streams"
