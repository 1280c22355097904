"""Where spans go: to a collector, in a bounded time, and nowhere where there is none."""

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError

import csm
from csm import errors
from csm.serving.metrics import Metrics
from csm.serving.settings import ServiceSettings
from csm.serving.tracing.setup import FLUSH_S, open_tracing
from csm.v1 import generator_pb2
from tests.csm.serving.running import NAME, Running
from tests.csm.serving.tracing.otlp_collector import Collector

ROOT = Path(__file__).resolve().parents[4]
GONE = "http://127.0.0.1:9"
LOGGER = "csm.serving.tracing.export"


async def ask(running: Running, times: int = 1, **metadata: str) -> None:
    for _ in range(times):
        call = running.stub.Generate(metadata=tuple(metadata.items()))
        await call.done_writing()
        async for _ in call:
            pass


def settled(metrics: Metrics, result: str) -> float:
    value = metrics.registry.get_sample_value("csm_trace_spans_total", {"result": result})
    return value or 0.0


async def test_a_service_that_stops_sends_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    collector = Collector()
    running = await (
        await Running(tracing_endpoint=collector.endpoint, drain_finish_s=0).listening()
    ).ready()
    await ask(running)
    # What machines ask makes none.
    await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
    await running.check("")
    await running.channel.close()
    await running.host.stop(finish_s=0)
    collector.close()
    (span,) = collector.spans
    assert span.name == f"{NAME}/Generate"
    assert span.resource["service.name"] == "csm-generator"
    assert span.resource["service.version"] == csm.__version__
    assert span.resource["deployment.environment.name"] == "test"
    assert settled(running.metrics, "exported") == 1
    assert settled(running.metrics, "dropped") == 0


async def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    collector = Collector()
    running = await (await Running(tracing_endpoint=collector.endpoint).listening()).ready()
    await ask(running)
    await running.channel.close()
    await running.host.stop(finish_s=0)
    collector.close()
    assert [span.service for span in collector.spans] == ["mine"]


async def test_a_collector_that_is_away_is_told_of_once_and_holds_nothing_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setattr("csm.serving.tracing.export.SEND_S", 0.2)
    running = await (await Running(tracing_endpoint=GONE).listening()).ready()
    for _ in range(3):
        await ask(running, 2)
        until = time.monotonic() + 5
        before = settled(running.metrics, "dropped")
        while settled(running.metrics, "dropped") == before and time.monotonic() < until:
            await ask(running)
    await running.channel.close()
    began = time.monotonic()
    await running.host.stop(finish_s=0)
    assert time.monotonic() - began < FLUSH_S + 2
    told = [r for r in caplog.records if r.name.startswith(("opentelemetry", LOGGER))]
    away = [r for r in told if "takes no spans" in r.getMessage()]
    assert len(away) == 1
    assert all(r.name == LOGGER for r in told)
    assert settled(running.metrics, "exported") == 0
    assert settled(running.metrics, "dropped") >= 6


async def test_the_queue_is_bounded_and_what_is_beyond_it_is_counted() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from csm.serving.tracing.export import SpanQueue

    kept, registry = InMemorySpanExporter(), CollectorRegistry()
    counter = Counter("spans", "Spans.", ("result",), registry=registry)
    queue = SpanQueue(kept, counter, max_waiting=10)
    queue._batch_processor._export_lock.acquire()  # the collector does not answer
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    tracer = provider.get_tracer("test")
    for _ in range(25):
        tracer.start_span("one").end()
    assert registry.get_sample_value("spans_total", {"result": "dropped"}) == 15
    queue._batch_processor._export_lock.release()
    await queue.close()
    assert len(kept.get_finished_spans()) == 10
    assert registry.get_sample_value("spans_total", {"result": "exported"}) == 10


async def test_a_flush_that_hangs_is_given_up() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from csm.serving.tracing.export import SpanQueue

    registry = CollectorRegistry()
    counter = Counter("spans", "Spans.", ("result",), registry=registry)
    queue = SpanQueue(InMemorySpanExporter(), counter)
    queue._batch_processor._export_lock.acquire()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    provider.get_tracer("test").start_span("one").end()
    began = time.monotonic()
    await queue.close(0.1)
    assert time.monotonic() - began < 5
    assert registry.get_sample_value("spans_total", {"result": "dropped"}) == 1
    queue._batch_processor._export_lock.release()


def test_without_the_extra_an_endpoint_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("export", "spans"):
        monkeypatch.delitem(sys.modules, f"csm.serving.tracing.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    settings = ServiceSettings(tracing_endpoint=GONE)
    with pytest.raises(errors.FailedPrecondition, match=r"tracing_endpoint.*csm-server\[tracing\]"):
        open_tracing(settings, NAME, Metrics().server)


@pytest.mark.parametrize("wrong", ["collector:4317", "http://", "http://u:p@c:1", "ftp://c", "x"])
def test_an_endpoint_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        ServiceSettings(tracing_endpoint=wrong)
    assert ServiceSettings(tracing_endpoint="https://c:4317").tracing_endpoint


def test_without_tracing_opentelemetry_is_not_imported() -> None:
    code = f"""
import asyncio, sys
import gateway.main, services.tokenizer.main, services.generator.main, csm.client
from csm.serving.host import Host
from tests.csm.serving.running import Running
async def life():
    running = await (await Running().listening()).ready()
    await running.host.stop(finish_s=0)
asyncio.run(life())
sys.exit({"opentelemetry"!r} in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
