"""A host's life over real gRPC: loading, ready, errors, cancellation, drain."""

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import generate_latest

from csm import errors
from csm.serving.host import Host
from csm.serving.metrics import Metrics
from csm.serving.rpc.interceptor import RpcInterceptor
from csm.serving.settings import ServiceSettings
from csm.v1 import generator_pb2, generator_pb2_grpc
from tests.csm.serving.running import NAME, NOT_SERVING, SERVING, FakeService, Running, Servicer


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    one = await Running().listening()
    yield one
    await one.ready()
    await one.channel.close()
    if "stop" not in one.service.events:
        await one.host.stop(finish_s=0)


async def test_a_loading_service_is_alive_not_ready_and_refuses_with_retry(
    running: Running,
) -> None:
    assert await running.check("") == SERVING
    assert await running.check(NAME) == NOT_SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert ("grpc-retry-pushback-ms", "2000") in tuple(caught.value.trailing_metadata())
    await running.ready()
    assert await running.check(NAME) == SERVING
    assert (await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())).model == "m"


async def test_health_of_an_unknown_service_is_not_found(running: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.check("nobody")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_dead_worker_fails_liveness(running: Running) -> None:
    await running.ready()
    running.service.beating = False
    async with asyncio.timeout(5):
        while await running.check("") == SERVING:
            await asyncio.sleep(0.05)


async def test_domain_errors_arrive_with_details(running: Running) -> None:
    await running.ready()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.GetLoad(generator_pb2.GetLoadRequest())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (detail,) = errors.rpc_error_details(caught.value)
    assert detail.field_violations[0].field == "x"


async def test_an_unknown_exception_leaks_no_text(running: Running) -> None:
    await running.ready()
    running.service.servicer.failure = KeyError("secret")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.GetLoad(
            generator_pb2.GetLoadRequest(), metadata=(("x-request-id", "abc-1"),)
        )
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details() == "internal error, request id abc-1"


async def test_a_stream_cancelled_while_it_writes_closes_its_handler_at_once(
    running: Running,
) -> None:
    await running.ready()
    call = running.stub.Generate()
    await call.write(generator_pb2.GenerateRequest())
    await call.read()
    call.cancel()
    await asyncio.wait_for(running.service.servicer.closed.wait(), 1)


async def test_rpcs_are_counted_by_status(running: Running) -> None:
    await running.ready()
    await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
    with pytest.raises(grpc.aio.AioRpcError):
        await running.stub.GetLoad(generator_pb2.GetLoadRequest())
    # The status reaches the client before the server has counted it.
    for _ in range(100):
        text = generate_latest(running.metrics.registry).decode()
        if f'csm_rpcs_in_flight{{grpc_service="{NAME}"}} 0.0' in text and "INVALID" in text:
            break
        await asyncio.sleep(0.01)
    for method, code in (("GetModelInfo", "OK"), ("GetLoad", "INVALID_ARGUMENT")):
        assert (
            f'grpc_server_handled_total{{grpc_code="{code}",grpc_method="{method}",'
            f'grpc_service="{NAME}",grpc_type="unary"}} 1.0' in text
        )
    assert f'csm_rpcs_in_flight{{grpc_service="{NAME}"}} 0.0' in text


async def test_stop_drains_then_stops(running: Running) -> None:
    await running.ready()
    await running.host.stop(finish_s=3)
    assert running.service.events == ["drain 3", "stop"]


async def test_a_message_over_the_limit_is_refused_not_hung(running: Running) -> None:
    await running.ready()
    request = generator_pb2.EvictConversationRequest(conversation_id="x" * (5 << 20))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.EvictConversation(request, timeout=5)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_taken_port_is_an_error_that_names_it(running: Running) -> None:
    await running.ready()
    second = Host(FakeService(), ServiceSettings(port=running.host.port), Metrics())
    with pytest.raises(OSError, match=str(running.host.port)):
        await second.start()


async def test_the_interceptor_waits_for_the_messages_of_every_handler() -> None:
    metrics = Metrics()
    interceptor = RpcInterceptor(metrics.server, lambda: None, 8)
    servicer = Servicer()
    for method, handler in {
        "GetLoad": grpc.unary_unary_rpc_method_handler(servicer.GetLoad),
        "Generate": grpc.stream_stream_rpc_method_handler(servicer.Generate),
    }.items():

        async def continuation(_, handler=handler):  # type: ignore[no-untyped-def]
            return handler

        details = type("Details", (), {"method": f"/{NAME}/{method}"})()
        wrapped = await interceptor.intercept_service(continuation, details)
        # For the message of any other gRPC itself would wait, without end.
        assert wrapped.request_streaming
        assert wrapped.response_streaming == handler.response_streaming
        # grpc.aio runs everything that is not one of these in a thread pool.
        assert inspect.iscoroutinefunction(wrapped.stream_unary or wrapped.stream_stream)


async def peers(age_s: float, grace_s: float = 0.0) -> tuple[set[str], Exception | None]:
    """Where calls came from during 1.5 s on one channel, beside one that lasts as long."""
    service = FakeService()
    seen: set[str] = set()

    async def model_info(request, context):  # type: ignore[no-untyped-def]
        seen.add(context.peer())
        return generator_pb2.GetModelInfoResponse()

    async def generate(request_iterator, context) -> AsyncIterator:  # type: ignore
        async for _ in request_iterator:
            yield generator_pb2.GenerateResponse()

    service.servicer.GetModelInfo = model_info  # type: ignore[method-assign]
    service.servicer.Generate = generate  # type: ignore[method-assign]
    service.loaded.set()
    settings = ServiceSettings(
        port=0, max_connection_age_s=age_s, max_connection_age_grace_s=grace_s
    )
    host = Host(service, settings, Metrics())
    await host.start()
    failure: Exception | None = None
    async with grpc.aio.insecure_channel(host.address) as channel:
        stub = generator_pb2_grpc.GeneratorServiceStub(channel)
        stream = stub.Generate()
        for _ in range(30):
            await asyncio.sleep(0.05)
            await stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
            try:
                if failure is None:
                    await stream.write(generator_pb2.GenerateRequest())
                    await stream.read()
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
                failure = error
    await host.stop(finish_s=0)
    return seen, failure


async def test_a_connection_is_kept_for_ever_unless_it_is_given_an_age() -> None:
    seen, failure = await peers(0.0)
    assert len(seen) == 1
    assert failure is None


async def test_a_connection_of_age_is_replaced_and_its_calls_go_on() -> None:
    seen, failure = await peers(0.3)
    assert len(seen) > 1
    assert failure is None


async def test_calls_on_a_connection_of_age_end_after_the_grace() -> None:
    seen, failure = await peers(0.3, grace_s=0.2)
    assert len(seen) > 1
    assert failure is not None


async def test_reflection_names_the_service_and_describes_its_messages(running: Running) -> None:
    await running.ready()
    stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    ask = reflection_pb2.ServerReflectionRequest
    call = stub.ServerReflectionInfo(
        iter([ask(list_services=""), ask(file_containing_symbol=NAME)])
    )
    listed = await call.read()
    names = {one.name for one in listed.list_services_response.service}
    assert {NAME, "grpc.health.v1.Health"} <= names
    described = await call.read()
    assert b"GenerateRequest" in b"".join(described.file_descriptor_response.file_descriptor_proto)


async def test_many_violations_arrive_as_what_they_are(running: Running) -> None:
    await running.ready()
    running.service.servicer.failure = errors.InvalidArgument(
        *(
            errors.FieldViolation(f"context[{i}].frames.codes", f"{1000 + i}; allowed is below 512")
            for i in range(64)
        )
    )
    for _ in range(10):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.stub.GetLoad(generator_pb2.GetLoadRequest())
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "and 52 more" in caught.value.details()


async def test_a_full_server_refuses_calls_and_still_answers_for_its_health() -> None:
    running = Running(max_concurrent_rpcs=1)
    await (await running.listening()).ready()
    call = running.stub.Generate()
    await call.write(generator_pb2.GenerateRequest())
    await call.read()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert errors.asked_wait_s(errors.rpc_error_details(caught.value)) == 1.0
    assert await running.check("") == SERVING
    assert await running.check(NAME) == SERVING
    call.cancel()
    await asyncio.wait_for(running.service.servicer.closed.wait(), 1)
    await running.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
    await running.channel.close()
    await running.host.stop(finish_s=0)


async def test_a_draining_server_closes_its_connections_for_new_calls_at_once() -> None:
    """With what it refuses over a connection that stays, a hashed client would come back to it."""
    draining = await (await Running().listening()).ready()
    other = await (await Running().listening()).ready()
    draining.service.drains_s = 1.0
    both = f"ipv4:{draining.host.address},{other.host.address}"
    channel = grpc.aio.insecure_channel(both, options=(("grpc.lb_policy_name", "pick_first"),))
    stub = generator_pb2_grpc.GeneratorServiceStub(channel)
    call = stub.Generate()
    await call.write(generator_pb2.GenerateRequest())
    await call.read()
    stopping = asyncio.create_task(draining.host.stop(finish_s=2))
    async with asyncio.timeout(0.9):
        while "drain 2" not in draining.service.events:
            await asyncio.sleep(0.01)
        for _ in range(5):
            assert (await stub.GetModelInfo(generator_pb2.GetModelInfoRequest())).model == "m"
        # What was open goes on meanwhile.
        await call.read()
    assert not stopping.done()
    call.cancel()
    await stopping
    await channel.close()
    for one in (draining, other):
        await one.channel.close()
    await other.host.stop(finish_s=0)


async def test_what_a_service_has_loaded_is_no_longer_searched_for_garbage(
    running: Running,
) -> None:
    before = gc.get_freeze_count()
    kept: list[object] = [[n] for n in range(1000)]
    await running.ready()
    assert gc.get_freeze_count() >= before + len(kept)
