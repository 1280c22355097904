"""One state behind every probe, and watchers that do not hold each other."""

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import generate_latest

from csm import errors
from csm.serving import health, host, probe
from csm.serving.bootstrap import expose_metrics
from csm.serving.metrics import Metrics
from csm.serving.process.endpoint import Endpoint
from tests.csm.serving.rpc.raw_http2 import RawConnection, message, rpc_headers
from tests.csm.serving.running import NAME, NOT_SERVING, SERVING, Running


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    one = await (await Running().listening()).ready()
    yield one
    await one.channel.close()
    if "stop" not in one.service.events:
        await one.host.stop(finish_s=0)


@pytest.fixture
async def endpoint(running: Running) -> AsyncIterator[Endpoint]:
    one = expose_metrics(running.metrics, "127.0.0.1", 0)
    assert one
    yield one
    one.close()


async def get(endpoint: Endpoint, path: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        try:
            url = f"http://127.0.0.1:{endpoint.port}{path}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


async def everybody(running: Running, endpoint: Endpoint) -> dict[str, bool]:
    """What each probe says of readiness."""
    status, text = await get(endpoint, "/metrics")
    assert status == 200
    probed = await asyncio.to_thread(probe.main, [running.host.address])
    named = await asyncio.to_thread(probe.main, [running.host.address, NAME])
    return {
        "Check": await running.check(NAME) == SERVING,
        "csm_ready": f'csm_ready{{grpc_service="{NAME}"}} 1.0' in text,
        "/readyz": (await get(endpoint, "/readyz"))[0] == 200,
        "probe": probed == 0,
        "probe by name": named == 0,
    }


async def test_every_probe_tells_the_same_at_once(running: Running, endpoint: Endpoint) -> None:
    assert set((await everybody(running, endpoint)).values()) == {True}
    running.service.beating = False
    assert set((await everybody(running, endpoint)).values()) == {False}
    assert await running.check("") == NOT_SERVING
    assert (await get(endpoint, "/healthz"))[0] == 503
    status, text = await get(endpoint, "/readyz")
    assert (status, text.strip()) == (503, f"{NAME}: its worker does not beat")
    running.service.beating = True
    assert set((await everybody(running, endpoint)).values()) == {True}


async def test_a_service_is_not_ready_while_what_it_leans_on_is_gone_and_still_alive(
    running: Running, endpoint: Endpoint
) -> None:
    running.service.ready = lambda: False  # type: ignore[attr-defined]
    assert set((await everybody(running, endpoint)).values()) == {False}
    assert await running.check("") == SERVING
    assert (await get(endpoint, "/healthz"))[0] == 200


async def test_a_probe_that_fails_is_a_no_and_goes_on_being_asked(running: Running) -> None:
    def fails() -> bool:
        raise RuntimeError("inside")

    running.service.alive = fails  # type: ignore[method-assign]
    await asyncio.sleep(0.6)
    assert await running.check("") == NOT_SERVING
    del running.service.alive  # type: ignore[method-assign]
    assert await running.check(NAME) == SERVING


async def test_a_draining_service_is_alive_and_not_ready(
    running: Running, endpoint: Endpoint
) -> None:
    running.service.drains_s = 1.0
    stopping = asyncio.create_task(running.host.stop(finish_s=1))
    await asyncio.sleep(0.2)
    assert (await get(endpoint, "/readyz")) == (503, f"{NAME}: is draining\n")
    assert (await get(endpoint, "/healthz"))[0] == 200
    text = generate_latest(running.metrics.registry).decode()
    assert f'csm_draining{{grpc_service="{NAME}"}} 1.0' in text
    await stopping


async def test_a_loop_that_stands_still_is_not_alive(
    running: Running, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "LOOP_STUCK_S", 0.5)
    await asyncio.sleep(0.3)
    asked = asyncio.create_task(asyncio.to_thread(lambda: (time.sleep(1), running.host.state())))
    await asyncio.sleep(0.1)
    time.sleep(1.2)  # noqa: ASYNC251
    _, state = await asked
    assert not state.alive
    assert "event loop" in state.reason
    await asyncio.sleep(0.4)
    assert running.host.state().ready


async def test_only_three_paths_are_served(running: Running, endpoint: Endpoint) -> None:
    for path in ("/", "/health", "/metrics/x", "/healthz/"):
        assert (await get(endpoint, path))[0] == 404
    assert (await get(endpoint, "/readyz?verbose"))[0] == 200


async def test_a_process_is_not_ready_before_all_its_services_are() -> None:
    metrics = Metrics()
    one = expose_metrics(metrics, "127.0.0.1", 0)
    assert one
    assert await get(one, "/readyz") == (503, "nothing has started yet\n")
    assert (await get(one, "/healthz"))[0] == 200
    metrics.follow("a", lambda: health.State(True, ""), lambda: False)
    metrics.expect("b")
    assert await get(one, "/readyz") == (503, "b: has not started yet\n")
    metrics.follow("b", lambda: health.State(True, ""), lambda: False)
    assert (await get(one, "/readyz"))[0] == 200
    one.close()


async def test_connections_that_ask_nothing_do_not_keep_others_from_asking(
    running: Running, endpoint: Endpoint
) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", endpoint.port) for _ in range(20)]
    assert (await get(endpoint, "/readyz"))[0] == 200
    for _, writer in idle:
        writer.close()


def standing_still(address: str, path: bytes, request: bytes) -> RawConnection:
    """A client that opens a call and lets nothing of the answer come."""
    raw = RawConnection(address, window_bytes=0)
    raw.headers(1, rpc_headers(path))
    raw.data(1, message(request))
    return raw


async def statuses(running: Running) -> list[int]:
    """Of a new watcher, while the worker dies."""
    watch = running.health.Watch(health_pb2.HealthCheckRequest(service=NAME))
    async with asyncio.timeout(3):
        first = (await watch.read()).status
        running.service.beating = False
        then = (await watch.read()).status
        running.service.beating = True
        last = (await watch.read()).status
    watch.cancel()
    return [first, then, last]


async def test_a_watcher_that_reads_nothing_keeps_no_other_from_its_news(running: Running) -> None:
    stuck = [
        await asyncio.to_thread(
            standing_still,
            running.host.address,
            b"/grpc.health.v1.Health/Watch",
            health_pb2.HealthCheckRequest(service=name).SerializeToString(),
        )
        for name in (NAME, "")
    ]
    assert await statuses(running) == [SERVING, NOT_SERVING, SERVING]
    assert await running.check(NAME) == SERVING
    began = time.monotonic()
    await running.channel.close()
    await running.host.stop(finish_s=0)
    assert time.monotonic() - began < 6
    for raw in stuck:
        raw.close()


@pytest.mark.parametrize(
    ("path", "request_bytes"),
    [
        (
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString(),
        ),
        (f"{NAME}/Generate", b""),
        (f"{NAME}/GetModelInfo", b""),
    ],
)
async def test_an_answer_that_nobody_takes_holds_up_neither_others_nor_the_end(
    running: Running, path: str, request_bytes: bytes
) -> None:
    raw = await asyncio.to_thread(
        standing_still, running.host.address, f"/{path}".encode(), request_bytes
    )
    await asyncio.sleep(0.2)
    ask = reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME)
    call = reflection_pb2_grpc.ServerReflectionStub(running.channel).ServerReflectionInfo(
        iter([ask])
    )
    assert (await asyncio.wait_for(call.read(), 3)).HasField("file_descriptor_response")
    began = time.monotonic()
    await running.channel.close()
    await running.host.stop(finish_s=0)
    assert time.monotonic() - began < 6
    raw.close()


async def test_what_never_ends_does_not_keep_a_stop_from_its_end(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "CLOSE_GRACE_S", 0.3)
    monkeypatch.setattr(host, "STUCK_S", 0.3)

    async def never(*_: object) -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if finished:
                    raise

    finished = False
    running.service.drain = never  # type: ignore[method-assign]
    running.service.stop = never  # type: ignore[method-assign]
    async with asyncio.timeout(4):
        await running.host.stop(finish_s=0)
    finished = True
    running.service.events.append("stop")


async def test_watchers_have_a_bound_and_its_end_makes_room(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MAX_WATCHERS", 3)
    ask = health_pb2.HealthCheckRequest(service="")
    calls = [running.health.Watch(ask) for _ in range(3)]
    for call in calls:
        assert (await call.read()).status == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.health.Watch(ask).read()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert errors.rpc_error_details(caught.value)
    assert await running.check("") == SERVING
    calls[0].cancel()
    await asyncio.sleep(0.1)
    assert (await running.health.Watch(ask).read()).status == SERVING


async def test_a_watch_of_a_name_that_is_not_known_says_so(running: Running) -> None:
    call = running.health.Watch(health_pb2.HealthCheckRequest(service="nobody"))
    assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    call.cancel()


async def test_watchers_do_not_make_a_stop_wait_for_them(running: Running) -> None:
    call = running.health.Watch(health_pb2.HealthCheckRequest(service=NAME))
    assert (await call.read()).status == SERVING
    began = time.monotonic()
    await running.host.stop(finish_s=0)
    assert time.monotonic() - began < 1.5
    assert (await call.read()).status == NOT_SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_who_watches_most_takes_no_place_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "MAX_WATCHERS", 4)
    one = health.Health(NAME, lambda: health.State(True, ""))
    ask = health_pb2.HealthCheckRequest(service=NAME)

    class Peer:
        def __init__(self, address: str) -> None:
            self.peer = lambda: f"ipv4:{address}:1"

    greedy = [one.Watch(ask, Peer("10.0.0.1")) for _ in range(4)]  # type: ignore[arg-type]
    for call in greedy:
        assert (await anext(call)).status == SERVING
    with pytest.raises(errors.QueueFull):
        await anext(one.Watch(ask, Peer("10.0.0.1")))  # type: ignore[arg-type]
    others = [one.Watch(ask, Peer(f"10.0.0.{n}")) for n in (2, 3)]  # type: ignore[arg-type]
    for call in others:
        assert (await anext(call)).status == SERVING
    # Its two oldest made room, and say so; those of others stay.
    for call in greedy[:2]:
        with pytest.raises(errors.QueueFull):
            await asyncio.wait_for(anext(call), 1)
    for call in (*greedy[2:], *others):
        await call.aclose()
    assert not one._watchers
