"""A turn whose call went away is gone on with in another one."""

import asyncio
from collections.abc import Callable

import grpc
import pytest

from csm import errors
from csm.v1 import common_pb2, speech_pb2
from tests.gateway.calls import Conversation, turns_of, violations
from tests.gateway.fakes import CANCELLED, EOS, Stack

TEXT = "The first one. The second one, which is longer. The third one."
"""3, 7 and 3 frames."""
SEEDED = common_pb2.Sampling(seed=5)


async def broken_off(running: Stack, name: str, num_frames: int, text: str = TEXT) -> str:
    """A turn whose call ends once so many frames of it were heard; its id."""
    running.generator.frame_s = 0.02
    async with Conversation(running, conversation_id=name, sampling=SEEDED) as call:
        await call.say(text)
        await call.end()
        await call.until("audio", num_frames)
        call.call.cancel()
        await asyncio.gather(call._reader, return_exceptions=True)
    await running.settled()
    (turn_id,) = call.turns
    return turn_id


async def resume(call: Conversation, turn_id: str, heard_ms: int | None, text: str = TEXT) -> None:
    await call.send(resume=speech_pb2.ConverseResume(turn_id=turn_id, heard_ms=heard_ms))
    await call.say(text)
    await call.end()


async def unfinished(running: Stack, name: str) -> list[bool]:
    request = speech_pb2.GetConversationRequest(conversation_id=name)
    return [t.unfinished for t in (await running.stub.GetConversation(request)).turns]


@pytest.mark.parametrize("num_frames", [1, 3, 4, 8])
async def test_a_turn_goes_on_behind_what_was_heard(running: Stack, num_frames: int) -> None:
    turn_id = await broken_off(running, "on", num_frames)
    assert await unfinished(running, "on") == [True]
    ((_, _, _, kept_ms),) = await turns_of(running, "on")
    kept = kept_ms // 80
    assert num_frames <= kept < 13
    running.generator.counts_on = True
    async with Conversation(running, conversation_id="on", sampling=SEEDED) as call:
        await resume(call, turn_id, None)
        completed = await call.until("turn_completed")
        await call.done()
    assert completed.turn_id == turn_id
    assert completed.finish_reason == EOS
    assert completed.kept_audio_ms == 13 * 80
    (heard,) = call.spoken
    assert heard.frames == list(range(kept, 13))
    assert heard.audio[0].first_sample == kept * 1920
    assert len(heard.started) == 1
    assert heard.started[0].seed == 5
    # History is as if nothing had happened.
    assert await turns_of(running, "on") == [(False, 0, TEXT, 13 * 80)]
    assert await unfinished(running, "on") == [False]
    # What was made already was not made again, and every sentence had its own seed.
    stream = running.generator.streams[-1]
    begins = next(first for first in (10, 3, 0) if first <= kept)
    assert [f.begun.num_frames for f in stream.flushes] == [kept - begins] + [0] * (
        len(stream.flushes) - 1
    )
    expected_seeds = {"The first one.": 5, "The third one.": 7}
    for text, flush in zip(stream.texts, stream.flushes, strict=True):
        assert flush.seed == expected_seeds.get(text, 6)
    if begins == 3:
        assert [s.text for s in stream.context] == ["The first one."]


async def test_words_that_were_heard_are_not_told_again(running: Stack) -> None:
    turn_id = await broken_off(running, "words", 8)
    async with Conversation(
        running, conversation_id="words", sampling=SEEDED, word_times=True
    ) as call:
        await resume(call, turn_id, 640)
        await call.until("turn_completed")
        await call.done()
    told = [word for chunk in call.all("audio") for word in chunk.words]
    assert [word.word for word in told][-3:] == ["The", "third", "one"]
    assert len(told) <= 7  # of 12
    assert all(word.end_ms > 640 for word in told)


async def test_what_was_sent_and_not_heard_is_sent_again(running: Stack) -> None:
    turn_id = await broken_off(running, "less", 6)
    running.generator.counts_on = True
    async with Conversation(running, conversation_id="less", sampling=SEEDED) as call:
        await resume(call, turn_id, 200)
        await call.until("turn_completed")
        await call.done()
    samples = [a.first_sample for a in call.spoken[0].audio]
    assert samples[0] == 200 * 24
    assert len(call.spoken[0].pcm) == 2 * (13 * 1920 - 200 * 24)


async def test_what_was_heard_and_not_kept_is_made_again_and_not_sent(running: Stack) -> None:
    running.generator.frame_s = 0.01
    async with Conversation(running, conversation_id="lost", sampling=SEEDED) as call:
        await resume(call, "its-name", 480)
        completed = await call.until("turn_completed")
        await call.done()
    assert completed.turn_id == "its-name"
    assert call.spoken[0].frames == list(range(6, 13))
    assert completed.kept_audio_ms == 13 * 80


async def test_without_a_seed_what_is_not_kept_is_said_anew(running: Stack) -> None:
    async with Conversation(running, conversation_id="lost") as call:
        await resume(call, "its-name", 480)
        await call.until("turn_completed")
        await call.done()
    assert call.spoken[0].frames == list(range(13))


async def test_a_turn_that_came_to_its_end_is_only_sent(running: Stack) -> None:
    async with Conversation(running, conversation_id="over", sampling=SEEDED) as call:
        await call.say(TEXT)
        await call.end()
        turn_id = (await call.until("turn_completed")).turn_id
        await call.done()
    streams = len(running.generator.streams)
    async with Conversation(running, conversation_id="over", sampling=SEEDED) as call:
        await resume(call, turn_id, 800)
        assert (await call.until("turn_completed")).finish_reason == EOS
        await call.done()
    assert call.spoken[0].frames == [10, 11, 12]
    assert not [f for s in running.generator.streams[streams:] for f in s.flushes]
    assert await turns_of(running, "over") == [(False, 0, TEXT, 13 * 80)]


async def test_a_resumed_turn_may_be_cancelled_and_resumed_again(running: Stack) -> None:
    turn_id = await broken_off(running, "again", 4)
    running.generator.counts_on = True
    async with Conversation(running, conversation_id="again", sampling=SEEDED) as call:
        await resume(call, turn_id, None)
        await call.until("audio")
        call.call.cancel()
    await running.settled()
    assert await unfinished(running, "again") == [True]
    async with Conversation(running, conversation_id="again", sampling=SEEDED) as call:
        await resume(call, turn_id, None)
        await call.until("audio")
        await call.cancel(heard_ms=320)
        assert (await call.until("turn_completed")).finish_reason == CANCELLED
        await call.done()
    ((_, _, text, audio_ms),) = await turns_of(running, "again")
    assert audio_ms == 320
    assert TEXT.startswith(text)
    assert await unfinished(running, "again") == [False]


@pytest.mark.parametrize("text", ["The fir", TEXT])
async def test_a_resumed_turn_is_cut_before_its_frames_are_there(running: Stack, text: str) -> None:
    turn_id = await broken_off(running, "cut", 8, "One. [pause 200ms] " + TEXT)
    async with Conversation(running, conversation_id="cut", sampling=SEEDED) as call:
        resume = speech_pb2.ConverseResume(turn_id=turn_id, heard_ms=680)
        await call.send(resume=resume)
        await call.say("One. [pause 200ms] " + text)
        # A frame and the pause behind it, and two of the next sentence's three frames.
        await call.cancel(heard_ms=440)
        completed = await call.until("turn_completed")
        await call.done()
    assert completed.finish_reason == CANCELLED
    assert completed.kept_audio_ms == 440
    assert await turns_of(running, "cut") == [(False, 0, "One. The first", 440)]
    assert await unfinished(running, "cut") == [False]


async def test_a_shorter_text_replaces_what_there_was(running: Stack) -> None:
    turn_id = await broken_off(running, "short", 8)
    async with Conversation(running, conversation_id="short", sampling=SEEDED) as call:
        await resume(call, turn_id, 80, "The first one.")
        await call.until("turn_completed")
        await call.done()
    assert await turns_of(running, "short") == [(False, 0, "The first one.", 240)]


async def test_another_text_is_said_from_where_it_differs(running: Stack) -> None:
    turn_id = await broken_off(running, "other", 5)
    async with Conversation(running, conversation_id="other", sampling=SEEDED) as call:
        await resume(call, turn_id, 240, "The first one. Something else altogether.")
        await call.until("turn_completed")
        await call.done()
    ((_, _, text, _),) = await turns_of(running, "other")
    assert text == "The first one. Something else altogether."


async def test_a_resumed_turn_moves_where_its_generator_fails(running: Stack) -> None:
    turn_id = await broken_off(running, "both", 4)
    running.generator.counts_on = True
    running.generator.fail_before_frame = {2: errors.Unavailable("going away")}
    async with Conversation(running, conversation_id="both", sampling=SEEDED) as call:
        await resume(call, turn_id, 0)
        completed = await call.until("turn_completed")
        await call.done()
    assert call.spoken[0].frames == list(range(13))
    assert completed.usage.failovers == 1


async def test_what_cannot_be_resumed_ends_the_call(running: Stack) -> None:
    first = await broken_off(running, "two", 4)

    async def failing(*sends: Callable[[Conversation], object]) -> grpc.aio.AioRpcError:
        async with Conversation(running, conversation_id="two") as call:
            for one in sends:
                await one(call)  # type: ignore[misc]
            return await call.failed()

    def asks(turn_id: str) -> Callable[[Conversation], object]:
        return lambda call: call.send(resume=speech_pb2.ConverseResume(turn_id=turn_id))

    assert violations(await failing(asks(""))).keys() == {"resume.turn_id"}
    assert violations(await failing(asks("x" * 129))).keys() == {"resume.turn_id"}
    assert violations(await failing(asks("a\x85b"))).keys() == {"resume.turn_id"}
    late = await failing(lambda call: call.say("One. Two. "), asks(first))
    assert late.code() is grpc.StatusCode.FAILED_PRECONDITION
    async with Conversation(running, conversation_id="two") as call:
        await call.say("Another turn.")
        await call.end()
        await call.until("turn_completed")
        await call.done()
    async with Conversation(running, conversation_id="two") as call:
        await call.hear(2)
        await call.end("A question.")
        heard = await call.until("turn_completed")
        await call.done()
    wrong = await failing(asks(heard.turn_id))
    assert "was heard, not spoken" in (wrong.details() or "")
    behind = await failing(asks(first))
    assert behind.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "other turns have followed" in (behind.details() or "")
