"""A flush that brings the turn's first frames: what follows, what stays, what is refused."""

from __future__ import annotations

import grpc
import numpy as np
import pytest

from csm.audio import frames
from csm.v1 import common_pb2
from tests.generator.fake_model import FakeModel
from tests.generator.grpc_harness import BOOKS, Heard, Serving, Stream, segment, serving

WARM = {"temperature": 0.9, "seed": 7}


async def rest_of(stream: Stream, text: str, begun: np.ndarray, **flush: int) -> Heard:
    await stream.say(text, begun=frames.pack(begun), **flush)
    response = await stream.read()
    assert response is not None
    heard = Heard(started=response.started)
    stream._next_frame = len(begun)
    rest = await stream.turn()
    heard.parts, heard.completed = rest.parts, rest.completed
    return heard


async def undisturbed(server: Serving, *texts: str) -> list[Heard]:
    stream = await server.open(sampling=WARM)
    heard = []
    for text in texts:
        await stream.say(text)
        heard.append(await stream.turn())
    await stream.end()
    return heard


async def test_a_turn_goes_on_elsewhere_with_the_frames_it_would_have_had() -> None:
    async with serving(FakeModel(eos_after=9), slots=1) as server:
        first, second, third = await undisturbed(server, "hello", "once more", "the end")
        assert len(second.codes) == 9
        stream = await server.open(sampling=WARM)
        await stream.context(segment("hello", first.codes))
        rest = await rest_of(stream, "once more", second.codes[:4], seed=8)
        np.testing.assert_array_equal(rest.codes, second.codes[4:])
        assert rest.completed
        assert rest.completed.finish_reason == second.completed.finish_reason
        assert rest.completed.usage.generated_frames == 5
        assert rest.completed.usage.audio_ms == 400
        assert rest.completed.usage.prompt_frames == second.completed.usage.prompt_frames + 4
        # The whole turn is context of the next.
        await stream.say("the end", seed=9)
        again = await stream.turn()
        np.testing.assert_array_equal(again.codes, third.codes)
        assert again.started.prompt_frames == third.started.prompt_frames
        await stream.end()
        await server.empty()


@pytest.mark.parametrize(("keep", "kept"), [(2, 2), (4, 4), (None, 5)])
async def test_a_turn_that_is_cancelled_behind_its_begun_frames_keeps_them(
    keep: int | None, kept: int
) -> None:
    async with serving(FakeModel()) as server:
        (whole,) = await undisturbed(server, "hello")
        stream = await server.open(sampling=WARM, initial_credit_frames=1)
        await stream.say("hello", begun=frames.pack(whole.codes[:4]), seed=7)
        started, frame = await stream.read(), await stream.read()
        assert started
        assert frame
        assert frame.frames.frames.first_frame == 4
        await stream.send(cancel={"turn_id": "turn", "keep_frames": keep})
        answer = await stream.read()
        assert answer
        assert answer.turn_completed.finish_reason == common_pb2.FINISH_REASON_CANCELLED
        await stream.send(credit={"frames": 100})
        await stream.say("more")
        following = await stream.turn()
        assert following.started
        own = started.started.prompt_frames - 4
        more = (await server.positions("more"))[0]
        assert following.started.prompt_frames == own + kept + 1 + more
        await stream.end()


async def test_an_empty_text_goes_on_behind_the_contexts_audio_and_its_own() -> None:
    async with serving(FakeModel(eos_after=12)) as server:
        (whole,) = await undisturbed(server, "hello")
        stream = await server.open(sampling=WARM)
        await stream.context(segment("hello", whole.codes[:5]))
        await stream.say("", seed=3)
        expected = await stream.turn()
        await stream.context(segment("hello", whole.codes[:5]), replace=True)
        rest = await rest_of(stream, "", expected.codes[:3], seed=3)
        np.testing.assert_array_equal(rest.codes, expected.codes[3:])
        await stream.end()


def packed(count: int, fill: int = 3, books: int = BOOKS) -> common_pb2.TokenFrames:
    return frames.pack(np.full((count, books), fill, np.uint16))


@pytest.mark.parametrize(
    ("begun", "field", "says"),
    [
        (packed(10), "flush.begun.num_frames", "10 is not allowed; the turn's longest audio is 10"),
        (packed(257), "flush.begun.num_frames", "257 is too many; at most 256"),
        (packed(2, books=3), "flush.begun.num_codebooks", "3 is not allowed; this model has 4"),
        (packed(2, fill=61), "flush.begun.codes", "code 61 at frame 0"),
        (packed(2, fill=0), "flush.begun.codes", "frame 0 is all 0"),
        (
            common_pb2.TokenFrames(codes=b"abc", num_frames=1, num_codebooks=4),
            "flush.begun.codes",
            "3 bytes",
        ),
    ],
)
async def test_frames_that_no_turn_can_have_are_refused_by_field(
    begun: common_pb2.TokenFrames, field: str, says: str
) -> None:
    async with serving() as server:
        stream = await server.open()
        await stream.say("hello", begun=begun)
        failure = await stream.error()
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        assert failure.violations.keys() == {field}
        assert failure.violations[field].startswith(says)
        await server.empty()


async def test_frames_that_the_context_does_not_hold_end_their_turn_in_band() -> None:
    async with serving() as server:
        stream = await server.open(max_audio_ms=600_000)
        await stream.say("hello", begun=packed(255))
        completed = (await stream.turn()).completed
        assert completed
        assert completed.finish_reason == common_pb2.FINISH_REASON_ERROR
        await stream.say("hello")
        assert (await stream.turn()).completed.finish_reason != common_pb2.FINISH_REASON_ERROR
        await stream.end()
