"""The simulated services on the wire, without a gateway."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from benchmarks.fleet.engine import EngineOptions, SimulatedEngine
from benchmarks.fleet.generator import CODES, NUM_CODEBOOKS, SimulatedGenerator
from benchmarks.fleet.tokenizer import SimulatedTokenizer
from csm import errors
from csm.v1 import (
    common_pb2,
    generator_pb2,
    generator_pb2_grpc,
    tokenizer_pb2,
    tokenizer_pb2_grpc,
)

QUICK = EngineOptions(step_ms=1.0, prefill_ms=0.0, frames_per_char=1.0)
FRAME_BYTES = 3840


@asynccontextmanager
async def channel_to(service: Any) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    service.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


@asynccontextmanager
async def generator(options: EngineOptions = QUICK) -> AsyncIterator[Any]:
    async with channel_to(SimulatedGenerator(SimulatedEngine(options))) as channel:
        yield generator_pb2_grpc.GeneratorServiceStub(channel)


def asking(**parts: Any) -> generator_pb2.GenerateRequest:
    return generator_pb2.GenerateRequest(**parts)


def turn(text: str, turn_id: str, **flush: Any) -> Sequence[generator_pb2.GenerateRequest]:
    return (
        asking(text=generator_pb2.GenerateText(text=text)),
        asking(flush=generator_pb2.GenerateFlush(turn_id=turn_id, **flush)),
    )


async def answers(call: Any) -> list[Any]:
    return [answer async for answer in call]


def kinds(given: Sequence[Any]) -> list[str]:
    return [answer.WhichOneof("response") for answer in given]


CONFIG = asking(config=generator_pb2.GenerateConfig())


async def test_each_sentence_starts_makes_its_frames_in_order_and_ends_once() -> None:
    async with generator() as stub:
        told = await answers(stub.Generate(iter([CONFIG, *turn("abc", "1"), *turn("ab", "2")])))
    first, second = ["started", *["frames"] * 3, "turn_completed"], ["frames"] * 2
    assert kinds(told) == [*first, "started", *second, "turn_completed"]
    frames = [answer.frames.frames for answer in told if answer.WhichOneof("response") == "frames"]
    assert [one.first_frame for one in frames] == [0, 1, 2, 0, 1]
    assert all(one.codes == CODES and one.num_codebooks == NUM_CODEBOOKS for one in frames)
    assert told[4].turn_completed.finish_reason == common_pb2.FINISH_REASON_EOS
    assert told[4].turn_completed.usage.generated_frames == 3


async def test_a_limit_and_frames_that_exist_already_are_kept_to() -> None:
    begun = common_pb2.TokenFrames(codes=2 * CODES, num_frames=2, num_codebooks=NUM_CODEBOOKS)
    asked = turn("abcdefgh", "1", max_audio_ms=400, begun=begun)
    async with generator() as stub:
        told = await answers(stub.Generate(iter([CONFIG, *asked])))
    assert [a.frames.frames.first_frame for a in told[1:-1]] == [2, 3, 4]
    assert told[-1].turn_completed.finish_reason == common_pb2.FINISH_REASON_MAX_DURATION


async def test_without_credit_it_pauses_and_a_cancel_ends_it_in_band() -> None:
    config = asking(config=generator_pb2.GenerateConfig(initial_credit_frames=2))
    async with generator() as stub:
        call = stub.Generate()
        for one in (config, *turn("a" * 50, "1")):
            await call.write(one)
        told = [await call.read() for _ in range(3)]
        assert kinds(told) == ["started", "frames", "frames"]
        waiting = asyncio.ensure_future(call.read())
        assert not (await asyncio.wait({waiting}, timeout=0.1))[0]
        await call.write(asking(credit=generator_pb2.GenerateCredit(frames=1)))
        assert (await waiting).WhichOneof("response") == "frames"
        await call.write(asking(cancel=generator_pb2.GenerateCancel(turn_id="1")))
        await call.write(asking(credit=generator_pb2.GenerateCredit(frames=1)))
        ended = await call.read()
        assert ended.turn_completed.finish_reason == common_pb2.FINISH_REASON_CANCELLED
        call.cancel()


async def test_who_finds_no_slot_waits_and_who_finds_no_queue_is_refused() -> None:
    options = EngineOptions(step_ms=5.0, prefill_ms=0, slots=1, max_queue=1, frames_per_char=1.0)
    async with generator(options) as stub:
        first = stub.Generate(iter([CONFIG, *turn("a" * 40, "1")]))
        assert (await first.read()).WhichOneof("response") == "started"
        second = stub.Generate(iter([CONFIG, *turn("ab", "2")]))
        waiting = asyncio.ensure_future(second.read())
        await asyncio.sleep(0.03)
        load = await stub.GetLoad(generator_pb2.GetLoadRequest())
        assert (load.slots, load.running, load.waiting) == (1, 1, 1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await answers(stub.Generate(iter([CONFIG, *turn("ab", "3")])))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert errors.asked_wait_s(errors.rpc_error_details(refused.value)) is not None
        # The first one's place.
        assert (await waiting).WhichOneof("response") == "started"
        first.cancel()


async def test_a_generator_that_is_told_to_fails() -> None:
    options = EngineOptions(step_ms=1.0, prefill_ms=0, fail_share=1.0)
    async with generator(options) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await answers(stub.Generate(iter([CONFIG, *turn("a" * 40, "1")])))
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        # The slot is free again.
        assert (await stub.GetLoad(generator_pb2.GetLoadRequest())).running == 0


async def test_steps_keep_their_pace_however_many_run() -> None:
    engine = SimulatedEngine(EngineOptions(step_ms=20.0))
    loop = asyncio.get_running_loop()

    async def steps() -> None:
        for _ in range(5):
            await engine.step()

    began = loop.time()
    await asyncio.gather(*(steps() for _ in range(30)))
    assert 0.09 <= loop.time() - began < 2.0


async def test_sound_comes_after_the_first_frame_and_then_for_what_has_come() -> None:
    form = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_PCM_S16LE)
    config = tokenizer_pb2.StreamingDecodeRequest(
        config=tokenizer_pb2.StreamingDecodeConfig(format=form)
    )
    frames = tokenizer_pb2.StreamingDecodeRequest(
        frames=common_pb2.TokenFrames(codes=4 * CODES, num_frames=4, num_codebooks=NUM_CODEBOOKS)
    )
    async with channel_to(SimulatedTokenizer()) as channel:
        stub = tokenizer_pb2_grpc.TokenizerServiceStub(channel)
        told = await answers(stub.StreamingDecode(iter([config, frames, frames])))
    assert [len(one.audio) // FRAME_BYTES for one in told] == [1, 3, 4]
    assert [one.num_frames for one in told] == [1, 4, 8]
    assert [one.first_sample for one in told] == [0, 1920, 7680]


async def test_what_is_heard_becomes_as_many_frames_as_it_is_long() -> None:
    config = tokenizer_pb2.StreamingEncodeRequest(config=tokenizer_pb2.EncodeConfig())
    audio = tokenizer_pb2.StreamingEncodeRequest(audio=bytes(FRAME_BYTES * 5 // 2))
    async with channel_to(SimulatedTokenizer()) as channel:
        stub = tokenizer_pb2_grpc.TokenizerServiceStub(channel)
        told = await answers(stub.StreamingEncode(iter([config, audio, audio])))
    assert sum(one.frames.num_frames for one in told[:-1]) == 5
    assert (told[-1].completed.num_frames, told[-1].completed.num_samples) == (5, 9600)
