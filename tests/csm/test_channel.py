"""How our channels are opened."""

import socket

import grpc
import pytest

from csm import channel
from csm.serving.rpc.server import server_options
from csm.serving.settings import ServiceSettings
from csm.v1 import generator_pb2, generator_pb2_grpc
from tests.csm.serving.running import Running


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
async def test_a_proxy_of_the_environment_is_not_asked_for_what_is_ours(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    running = await (await Running().listening()).ready()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv(variable, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        request = generator_pb2.GetModelInfoRequest()
        async with channel.open_async(running.host.address) as ours:
            stub = generator_pb2_grpc.GeneratorServiceStub(ours)
            assert (await stub.GetModelInfo(request, timeout=5)).model == "m"
        async with channel.open_async(running.host.address, http_proxy=True) as theirs:
            stub = generator_pb2_grpc.GeneratorServiceStub(theirs)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetModelInfo(request, timeout=1)
            assert caught.value.code() in (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
            )
    await running.channel.close()
    await running.host.stop(finish_s=0)


def test_servers_allow_the_pings_that_clients_send() -> None:
    client = dict(channel.options())
    server = dict(server_options(ServiceSettings()))
    allowed = server["grpc.http2.min_ping_interval_without_data_ms"]
    assert allowed < int(str(client["grpc.keepalive_time_ms"]))
