"""Background tasks that fail are started again."""

import asyncio
import logging

import pytest
from grpc_health.v1 import health_pb2
from prometheus_client import generate_latest

from csm.serving.metrics import Metrics
from csm.serving.process import supervise as supervising
from csm.serving.process.supervise import supervise
from tests.csm.serving.running import NAME, NOT_SERVING, Running


async def test_a_watcher_that_fails_is_started_again_counted_and_told_without_its_words(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervising, "FIRST_WAIT_S", 0.01)
    metrics, runs = Metrics(), 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise RuntimeError("what a client said")

    async with asyncio.timeout(2):
        await supervise("backend", work, metrics)
    assert runs == 4
    text = generate_latest(metrics.registry).decode()
    assert 'csm_watcher_restarts_total{watcher="backend"} 3.0' in text
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(told) == 3
    assert all("backend" in line and "RuntimeError" in line for line in told)
    assert "what a client said" not in caplog.text


async def test_a_watcher_that_keeps_failing_waits_longer_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 9:
            raise asyncio.CancelledError

    async def work() -> None:
        raise OSError

    monkeypatch.setattr(supervising.asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await supervise("x", work, Metrics())
    assert waits[:3] == [0.1, 0.2, 0.4]
    assert waits[-1] == 10.0


async def test_a_cancelled_watcher_ends() -> None:
    task = asyncio.create_task(supervise("x", asyncio.Event().wait, Metrics()))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_hosts_watch_outlives_what_it_did_not_expect() -> None:
    running = await (await Running().listening()).ready()
    observe = running.metrics.server.loop_delay_seconds.observe
    running.metrics.server.loop_delay_seconds.observe = None  # type: ignore[method-assign, assignment]
    await asyncio.sleep(0.6)
    running.metrics.server.loop_delay_seconds.observe = observe  # type: ignore[method-assign]
    text = generate_latest(running.metrics.registry).decode()
    assert f'csm_watcher_restarts_total{{watcher="host of {NAME}"}}' in text
    running.service.beating = False
    watch = running.health.Watch(health_pb2.HealthCheckRequest(service=NAME))
    async with asyncio.timeout(5):
        while (await watch.read()).status != NOT_SERVING:
            pass
    watch.cancel()
    await running.channel.close()
    await running.host.stop(finish_s=0)
