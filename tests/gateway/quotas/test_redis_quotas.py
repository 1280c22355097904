"""Quotas in a real Redis: gateways share one count, which outlives them; it may be away."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from csm.serving.metrics import GatewayMetrics, Metrics
from gateway.quotas.redis_quotas import AWAY_S, RedisQuotas
from tests.gateway.calls import Conversation, synthesize
from tests.gateway.conversations.redis.server import (
    RedisServer,
    needs_redis,
    redis_server,
    relay,
)
from tests.gateway.fakes import EOS, Stack, stack
from tests.gateway.quotas.asking import quota_of, refused

pytestmark = [pytest.mark.asyncio, needs_redis]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as one:
        yield one


@contextlib.asynccontextmanager
async def second(first: Stack, **more: Any) -> AsyncIterator[Stack]:
    """Another gateway before the same backends."""
    other = Stack()
    other.generator, other.tokenizer = first.generator, first.tokenizer
    other.metrics = Metrics()
    await other.serve(first.settings.model_copy(update=more))
    try:
        yield other
    finally:
        await other.close()


@contextlib.asynccontextmanager
async def store(url: str, **more: float) -> AsyncIterator[RedisQuotas]:
    metrics = GatewayMetrics(CollectorRegistry())
    one = RedisQuotas(url, metrics, **{"timeout_s": 3, "lease_s": 0.9, **more})
    try:
        yield one
    finally:
        await one.stop()


async def test_two_gateways_share_every_count(server: RedisServer) -> None:
    settings: dict[str, Any] = {
        "quota_store_url": server.url,
        "store_timeout_s": 5,
        "quota_characters_per_day": 20,
        "quota_requests_per_minute": 4,
        "quota_streams": 1,
    }
    async with stack(**settings) as one:
        async with second(one) as other:
            await synthesize(one, "Ten chars.")
            async with Conversation(other) as call:
                await call.until("started")
                assert quota_of(await refused(synthesize(one, "Hi."))) == "tenant:/streams"
                await call.say("Ten chars.")
                await call.end()
                assert (await call.until("turn_completed")).finish_reason == EOS
                await call.done()
            await other.settled()
            await asyncio.sleep(0.1)
            assert quota_of(await refused(synthesize(one, "No."))) == "tenant:/characters_per_day"
        # A new gateway goes on with the count.
        async with second(one) as third:
            error = await refused(synthesize(third, "No."))
            assert quota_of(error) == "tenant:/characters_per_day"
        keys = sorted(key.decode() for key in server.client().keys("*"))
        assert keys == [
            "csm:quotas:tenant::characters_per_day",
            "csm:quotas:tenant::requests_per_minute",
        ]
        assert all(0 < server.client().ttl(key) <= 86_400 for key in keys)


async def test_of_many_at_once_over_two_gateways_exactly_so_many_speak(server: RedisServer) -> None:
    async with (
        stack(quota_store_url=server.url, quota_streams=5, store_timeout_s=5) as one,
        second(one) as other,
    ):
        one.generator.mute.clear()
        calls = [asyncio.create_task(synthesize(served, "Hello.")) for served in (one, other) * 8]
        async with asyncio.timeout(10):
            while sum(not call.done() for call in calls) > 5:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        assert sum(not call.done() for call in calls) == 5
        one.generator.mute.set()
        await asyncio.gather(*calls, return_exceptions=True)
        assert sum(call.exception() is None for call in calls) == 5
        await one.settled()
        await asyncio.sleep(0.2)
        assert server.client().zcard("csm:quotas:tenant::streams") == 0


async def test_streams_of_a_gateway_that_died_are_free_after_a_lease(server: RedisServer) -> None:
    async with store(server.url) as lives, store(server.url) as dies:
        assert await dies.take("a", 2, "one")
        assert await lives.take("a", 2, "two")
        assert await lives.take("a", 2, "three") is False
        await asyncio.sleep(1.5)  # renewed meanwhile, both
        assert await lives.take("a", 2, "three") is False
        dies._held.clear()  # renews nothing any more
        await asyncio.sleep(1.5)
        assert await lives.take("a", 2, "three")
        assert await lives.take("a", 2, "four") is False


async def test_a_store_without_an_answer_stops_nobody_and_is_told_once(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.quotas")
    async with (
        relay(server) as between,
        stack(quota_store_url=between.url, quota_requests_per_minute=1, store_timeout_s=0.3) as one,
    ):
        await synthesize(one, "One.")
        assert quota_of(await refused(synthesize(one, "Two."))) == "tenant:/requests_per_minute"
        between.cut()
        began = time.monotonic()
        await synthesize(one, "Three.")
        assert time.monotonic() - began < 2.0
        # It is not asked again by each, which would take three seconds.
        began = time.monotonic()
        for _ in range(10):
            await synthesize(one, "Four.")
        assert time.monotonic() - began < 2.0
        told = [r.getMessage() for r in caplog.records]
        assert told == [
            "the store of quotas does not answer in time; nothing is refused for a quota meanwhile"
        ]
        timeouts = one.sample(
            "csm_gateway_store_operations_total", operation="quota", outcome="timeout"
        )
        assert timeouts >= 1
        # Those that did not ask are failures too, or no alert would see how many there are.
        unasked = one.sample(
            "csm_gateway_store_operations_total", operation="quota", outcome="unreachable"
        )
        assert unasked >= 5
        between.mend()
        await asyncio.sleep(AWAY_S + 0.4)
        assert quota_of(await refused(synthesize(one, "Five."))) == "tenant:/requests_per_minute"
        assert "the store of quotas answers" in [r.getMessage() for r in caplog.records]


async def test_a_redis_that_is_not_there_at_the_start_keeps_nobody_out(server: RedisServer) -> None:
    server.end()
    async with stack(quota_store_url=server.url, quota_requests_per_minute=1) as one:
        for _ in range(2):
            assert (await synthesize(one, "Hi.")).completed[0].finish_reason == EOS


async def test_counts_are_there_when_redis_is_back(server: RedisServer) -> None:
    async with stack(
        quota_store_url=server.url, quota_characters_per_day=10, store_timeout_s=5
    ) as one:
        await synthesize(one, "Ten chars.")
        await asyncio.sleep(0.1)
        server.end()
        server.up()
        error = await refused(synthesize(one, "No."))
        assert quota_of(error) == "tenant:/characters_per_day"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+cluster://a:1", "quota_store_url: a cluster is not taken"),
        ("localhost", "quota_store_url: has no ://"),
    ],
)
async def test_a_wrong_url_is_refused_by_name(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        RedisQuotas(url, GatewayMetrics(CollectorRegistry()), timeout_s=1, lease_s=1)


async def test_what_is_left_of_a_window_is_told_to_a_fraction_of_a_second(
    server: RedisServer,
) -> None:
    async with store(server.url) as one:
        began = time.monotonic()
        await one.add("k", 60, 1)
        for _ in range(6):
            left_s = await one.left_s("k")
            assert left_s == pytest.approx(60 - (time.monotonic() - began), abs=0.15)
            await asyncio.sleep(0.2)
        assert await one.left_s("nothing") == 0
