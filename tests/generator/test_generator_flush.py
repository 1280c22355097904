"""What a flush says of its own turn: the longest audio and the seed."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

from csm.v1 import common_pb2, generator_pb2
from tests.generator.fake_model import FakeModel, fake_config
from tests.generator.grpc_harness import Heard, Stream, segment, serving

WARM = {"temperature": 0.9, "seed": 7}


async def spoken(stream: Stream, text: str = "hello", **flush: int) -> Heard:
    await stream.context(replace=True)
    await stream.say(text, **flush)
    heard = await stream.turn()
    assert heard.started
    assert heard.completed
    return heard


async def test_a_turn_ends_at_the_audio_that_its_flush_allows_and_the_next_at_the_configs() -> None:
    async with serving() as server:
        stream = await server.open(max_audio_ms=480)
        lengths = []
        for most_ms in (240, 0, 800, 80):
            heard = await spoken(stream, max_audio_ms=most_ms)
            assert heard.completed
            assert heard.completed.finish_reason == common_pb2.FINISH_REASON_MAX_DURATION
            lengths.append(len(heard.codes))
        await stream.end()
    assert lengths == [3, 6, 10, 1]


async def test_the_seed_of_a_flush_is_its_turns_alone() -> None:
    async with serving() as server:
        stream = await server.open(sampling=WARM)
        turns = [
            await spoken(stream),
            await spoken(stream, seed=(1 << 64) - 1),
            await spoken(stream, seed=0),
            await spoken(stream),
        ]
        await stream.end()
        again = await server.speak("hello", sampling={**WARM, "seed": (1 << 64) - 1})
    assert [heard.started.seed for heard in turns if heard.started] == [7, (1 << 64) - 1, 0, 10]
    np.testing.assert_array_equal(turns[1].codes, again.codes)
    assert not np.array_equal(turns[0].codes, turns[1].codes)


async def test_a_seed_in_the_flush_serves_where_the_config_has_none() -> None:
    async with serving() as server:
        stream = await server.open(sampling={"temperature": 0.9})
        first, second = [await spoken(stream, seed=5) for _ in range(2)]
        await stream.end()
    np.testing.assert_array_equal(first.codes, second.codes)


@pytest.mark.parametrize("most_ms", [1, 79, 600_001, (1 << 32) - 1])
async def test_a_longest_audio_out_of_range_is_refused_by_field(most_ms: int) -> None:
    async with serving() as server:
        stream = await server.open()
        await stream.say("hello", max_audio_ms=most_ms)
        failure = await stream.error()
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        assert failure.violations == {
            "flush.max_audio_ms": f"{most_ms} is not allowed; must be 80..600000, or 0 for the "
            "config's"
        }
        await server.empty()


async def test_all_that_is_wrong_in_a_flush_is_told_at_once() -> None:
    async with serving() as server:
        stream = await server.open()
        await stream.say("hello", "x" * 129, max_audio_ms=1)
        assert (await stream.error()).violations.keys() == {"flush.turn_id", "flush.max_audio_ms"}


async def test_a_turn_longer_than_the_configs_takes_its_room_from_the_history() -> None:
    async with serving(FakeModel(fake_config(max_positions=200))) as server:
        history = [segment("hello", np.full((20, 4), 3, np.uint16)) for _ in range(5)]

        async def prompt_frames(**flush: int) -> int:
            stream = await server.open(max_audio_ms=80 * 20)
            await stream.context(*history)
            await stream.say("now", **flush)
            heard = await stream.turn()
            await stream.end()
            assert heard.started
            return heard.started.prompt_frames

        usual, longer = await prompt_frames(), await prompt_frames(max_audio_ms=80 * 90)
        shorter = await prompt_frames(max_audio_ms=80)
    assert usual == shorter > 110 >= longer


async def test_the_default_of_the_model_or_of_the_setting_is_told() -> None:
    told = []
    for settings in ({}, {"max_audio_ms": 1200}):
        async with serving(**settings) as server:
            info = await server.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
            told.append((info.default_max_audio_ms, len((await server.speak("hello")).codes)))
    assert told == [(800, 10), (1200, 15)]


async def test_the_speaker_of_a_flush_is_its_turns_alone_and_stays_with_its_segment() -> None:
    async with serving() as server:
        stream = await server.open(speaker=1, max_audio_ms=160)
        spoken: list[np.ndarray] = []
        for flush in ({}, {"speaker": 12}, {}):
            await stream.say("hi", **flush)
            spoken.append((await stream.turn()).codes)
        await stream.end()
        # The same, as a caller would send it: each segment under its own speaker.
        speakers = (1, 12, 1)
        for number, speaker in enumerate(speakers):
            stream = await server.open(speaker=speaker, max_audio_ms=160)
            said = zip(spoken[:number], speakers[:number], strict=True)
            await stream.context(*(segment("hi", codes, speaker=one) for codes, one in said))
            await stream.say("hi")
            np.testing.assert_array_equal((await stream.turn()).codes, spoken[number])
            await stream.end()
        first = await server.speak("hi", speaker=12, max_audio_ms=160)
    assert not np.array_equal(first.codes, spoken[0])


@pytest.mark.parametrize("speaker", [65_536, (1 << 32) - 1])
async def test_a_speaker_out_of_range_is_refused_by_field(speaker: int) -> None:
    async with serving() as server:
        stream = await server.open()
        await stream.say("hello", speaker=speaker)
        failure = await stream.error()
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        wanted = f"{speaker} is not allowed; must be 0..65535"
        assert failure.violations == {"flush.speaker": wanted}
        await server.empty()
