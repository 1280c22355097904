"""`CountPositions`: what it counts, what it refuses, and that it holds up nobody."""

from __future__ import annotations

import asyncio
import time

import grpc
import pytest

from csm.v1 import generator_pb2
from services.generator.model.text import TextTokenizer
from services.generator.positions import PART_CHARS, count_positions
from tests.generator.fake_model import FakeModel, fake_config
from tests.generator.grpc_harness import Failure, Serving, serving
from tests.generator.test_generator_voices import PICO
from tests.loop_gap import check_gap


async def refused(server: Serving, *texts: str, speaker: int = 0) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await server.positions(*texts, speaker=speaker)
    return Failure(error.value)


@pytest.mark.parametrize("speaker", [0, 65535])
async def test_a_text_counts_as_the_engine_counts_it(speaker: int) -> None:
    texts = ["hello", "It is 7:30, and 100% of it!", "Zoe\N{COMBINING DIAERESIS}", "a" * 90]
    async with serving() as server:
        counted = await server.positions(*texts, speaker=speaker)
        spoken = [await server.speak(text, speaker=speaker) for text in texts]
    assert counted == [heard.started.prompt_frames for heard in spoken if heard.started]


async def test_what_cannot_be_said_takes_no_positions_and_no_text_is_no_error() -> None:
    texts = ["", " \n", "?!", "\N{GRINNING FACE}", "\u65e5\u672c", "\u65e5 a"]
    async with serving() as server:
        counted = await server.positions(*texts)
        assert counted[:5] == [0] * 5
        assert counted[5] > 0
        assert await server.positions() == []


async def test_long_texts_are_counted_in_order_whatever_their_parts() -> None:
    lengths = [*range(1, 40), 4000, 3, 4096, 4096, 1]
    async with serving(FakeModel(fake_config(max_positions=2100))) as server:
        counted = await server.positions(*("a" * length for length in lengths))
        (empty,) = await server.positions("a")
    assert counted == [length - 1 + empty for length in lengths]


async def test_wrong_requests_are_refused_by_field() -> None:
    async with serving(max_text_chars=10) as server:
        failure = await refused(server, "ok", "a" * 11, "b" * 12, speaker=65536)
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        assert failure.violations == {
            "speaker": "65536 is not allowed; must be 0..65535",
            "texts[1]": "11 characters; at most 10 are allowed",
            "texts[2]": "12 characters; at most 10 are allowed",
        }
        failure = await refused(server, *["a"] * 1025)
        assert failure.violations == {"texts": "1025 in one message; at most 1024"}
        assert len(await server.positions(*["a"] * 1024)) == 1024


async def test_a_speaker_that_the_model_does_not_name_is_refused_as_by_generate() -> None:
    async with serving(model=PICO, slots=1, device="cpu", threads=1) as server:
        assert (await refused(server, "hello", speaker=9)).violations.keys() == {"speaker"}
        info = await server.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
    assert info.characters == "!',-.0123456789?abcdefghijklmnopqrstuvwxyz"


async def test_counting_many_long_texts_does_not_stop_the_loop() -> None:
    async with serving(FakeModel(fake_config(max_positions=2048))) as server:

        async def count() -> None:
            assert len(await server.positions(*["0123456789" * 400] * 20)) == 20

        await check_gap(count, 3)


async def test_of_a_text_far_longer_than_the_context_only_a_part_is_looked_at() -> None:
    texts = ["1234567890" * 25_000, "a" * 505, "a" * 508]
    async with serving(max_text_chars=1_000_000) as server:
        began = time.monotonic()
        assert await server.positions(*texts) == [513, 511, 513]
        # All of the first takes some 4 s.
        assert time.monotonic() - began < 2


class Counting(TextTokenizer):
    """A tokenizer that says how many texts it was given."""

    seen = 0

    def encode(self, speaker: int, text: str) -> list[int]:
        type(self).seen += 1
        return super().encode(speaker, text)


async def test_a_caller_that_is_gone_costs_one_more_part() -> None:
    tokenizer = Counting.from_directory(PICO)
    texts = ["hello there. " * (PART_CHARS // 26)] * 200
    counting = asyncio.create_task(count_positions(tokenizer, 0, texts, 1 << 20))
    while not Counting.seen:
        await asyncio.sleep(0.001)
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)
    seen = Counting.seen
    assert await count_positions(tokenizer, 0, texts[:2], 1 << 20) == [
        len(tokenizer.encode(0, text)) for text in texts[:2]
    ]
    assert Counting.seen - seen < 8
    assert seen < 100
