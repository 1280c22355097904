"""A client of `Generate` that reads nothing loses its place, and nobody waits for it."""

from __future__ import annotations

import asyncio

from csm.v1 import generator_pb2
from tests.csm.serving.rpc.raw_http2 import RawConnection, message, rpc_headers
from tests.generator.grpc_harness import serving


async def test_a_turn_that_nobody_reads_gives_its_place_to_the_next() -> None:
    requests = [
        generator_pb2.GenerateRequest(config=generator_pb2.GenerateConfig()),
        generator_pb2.GenerateRequest(text=generator_pb2.GenerateText(text="hello")),
        generator_pb2.GenerateRequest(flush=generator_pb2.GenerateFlush(turn_id="unread")),
    ]
    async with serving(slots=1, max_queue=0, max_unread_s=0.4) as server:

        def talk() -> RawConnection:
            raw = RawConnection(server.host.address, window_bytes=0)
            raw.headers(1, rpc_headers(b"/csm.v1.GeneratorService/Generate"))
            for request in requests:
                raw.data(1, message(request.SerializeToString()))
            return raw

        raw = await asyncio.to_thread(talk)
        await server.settled(lambda: server.service.engine.reserved == 1)
        await server.settled(lambda: server.service.engine.reserved == 0)
        assert (await server.speak("now")).completed
        await server.empty()
        raw.close()
