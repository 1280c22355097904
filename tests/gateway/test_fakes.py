"""The fake generator keeps to what its wire says of a flush and of positions."""

from __future__ import annotations

import grpc

from csm.v1 import generator_pb2, generator_pb2_grpc
from tests.gateway.fakes import EOS, MAX_DURATION, FakeGenerator


async def test_the_fake_generator_serves_what_a_flush_asks_for_and_counts_positions() -> None:
    fake = FakeGenerator()
    await fake.up()
    requests = [
        generator_pb2.GenerateRequest(config=generator_pb2.GenerateConfig(max_audio_ms=320)),
    ]
    for flush in ({}, {"max_audio_ms": 160, "seed": 9}, {"max_audio_ms": 1000}):
        text = generator_pb2.GenerateText(text="a" * 50)
        requests.append(generator_pb2.GenerateRequest(text=text))
        asked = generator_pb2.GenerateFlush(**flush)  # type: ignore[arg-type]
        requests.append(generator_pb2.GenerateRequest(flush=asked))
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{fake.port}") as channel:
            stub = generator_pb2_grpc.GeneratorServiceStub(channel)
            answers = [answer async for answer in stub.Generate(iter(requests))]
            count = generator_pb2.CountPositionsRequest(texts=["hello", "?!", ""])
            counted = await stub.CountPositions(count)
    finally:
        await fake.down()
    seeds = [answer.started.seed for answer in answers if answer.HasField("started")]
    ends = [answer.turn_completed for answer in answers if answer.HasField("turn_completed")]
    assert seeds == [1000, 9, 1002]
    assert [end.usage.generated_frames for end in ends] == [4, 2, 10]
    assert [end.finish_reason for end in ends] == [MAX_DURATION, MAX_DURATION, EOS]
    assert list(counted.positions) == [7, 0, 0]
    assert fake.counted == [["hello", "?!", ""]]
