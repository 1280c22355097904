"""Converse from end to end over real gRPC, against fake backends."""

import asyncio
import math
import time

import grpc
import pytest

from csm import errors
from csm.v1 import common_pb2, speech_pb2
from gateway.backends.failure import BackendFailure
from gateway.commands import StreamFormat
from gateway.hearing.heard_audio import MAX_WAITING_BYTES, HeardAudio
from gateway.turn_queue import MAX_WAITING_TURNS
from tests.gateway.calls import Conversation, synthesize, turns_of, violations
from tests.gateway.fakes import (
    CANCELLED,
    EOS,
    ERROR,
    FRAME_SAMPLES,
    MAX_DURATION,
    RATE,
    Stack,
    stack,
)


async def test_the_conversation_is_named_and_its_format_told_first(running: Stack) -> None:
    async with Conversation(running) as call:
        started = await call.until("started")
        assert len(started.conversation_id) == 32
        assert started.output_format.sample_rate_hz == RATE
        assert started.num_turns == 0
        assert started.voice == "fake"
        await call.done()
    assert call.error is None
    assert call.order == ["started"]


async def test_a_spoken_turn_comes_back_with_one_terminal(running: Stack) -> None:
    async with Conversation(running, conversation_id="one") as call:
        await call.say("Hello there,")
        await call.say(" my friend.")
        await call.end()
        await call.done()
    (turn,) = call.spoken
    assert turn.frames == [0, 1, 2, 3, 4]
    assert turn.completed[0].finish_reason == EOS
    assert call.order[:2] == ["started", "turn_started"]
    assert call.order[-1] == "turn_completed"
    assert running.generator.streams[0].texts == ["Hello there, my friend."]
    assert await turns_of(running, "one") == [(False, 0, "Hello there, my friend.", 400)]
    name = "csm_gateway_time_to_first_audio_seconds_count"
    assert running.sample(name, rpc="Converse") == 1


async def test_complete_sentences_are_spoken_before_the_turn_ends(running: Stack) -> None:
    async with Conversation(running) as call:
        await call.say("The first. The sec")
        await call.until("audio", 2)
        assert running.generator.streams[0].texts == ["The first."]
        await asyncio.sleep(0.1)
        assert not call.all("turn_completed")
        await call.say("ond. And then ")
        await call.until("audio", 5)
        await call.say("the end")
        await call.end()
        await call.until("turn_completed")
        await call.done()
    (stream,) = running.generator.streams
    assert stream.texts == ["The first.", "The second.", "And then the end"]
    (turn,) = call.spoken
    assert turn.frames == list(range(9))
    assert [a.first_sample for a in turn.audio] == [n * FRAME_SAMPLES for n in range(9)]
    assert turn.audio[-1].text_chars == len("The first. The second. And then the end")


async def test_heard_audio_becomes_a_turn_and_the_context_of_the_next(running: Stack) -> None:
    async with Conversation(running, conversation_id="talk") as call:
        for _ in range(5):
            await call.hear(0.5)
        await call.end("What is the time?")
        heard = await call.until("turn_completed")
        assert heard.heard
        assert heard.finish_reason == EOS
        assert heard.kept_audio_ms == 240
        await call.say("It is noon.")
        await call.end()
        await call.until("turn_completed", 2)
        await call.done()
    (segment,) = running.generator.streams[0].context
    assert (segment.speaker, segment.text, segment.frames.num_frames) == (1, "What is the time?", 3)
    assert segment.frames.codes[:2] == b"\x64\x00"
    assert await turns_of(running, "talk") == [
        (True, 1, "What is the time?", 240),
        (False, 0, "It is noon.", 240),
    ]
    await running.settled()


async def test_audio_is_encoded_while_it_is_heard(running: Stack) -> None:
    async with Conversation(running) as call:
        await call.hear(2)
        for _ in range(100):
            if running.tokenizer.encoding:
                break
            await asyncio.sleep(0.01)
        assert running.tokenizer.encoding == 1
        await call.end()
        await call.until("turn_completed")
    await running.settled()


async def test_one_end_of_turn_closes_both_and_what_was_heard_comes_first(running: Stack) -> None:
    async with Conversation(running, conversation_id="both", heard_speaker=9) as call:
        await call.hear(2)
        await call.say("I heard you. Really.")
        await asyncio.sleep(0.1)
        assert running.generator.streams == []
        await call.end("Did you hear me?")
        await call.until("turn_completed", 2)
        await call.done()
    assert [t.heard for t in call.all("turn_completed")] == [True, False]
    assert running.generator.streams[0].context[0].text == "Did you hear me?"
    assert [t[:3] for t in await turns_of(running, "both")] == [
        (True, 9, "Did you hear me?"),
        (False, 0, "I heard you. Really."),
    ]


async def test_a_transcript_without_sound_is_a_heard_turn_of_text_alone(running: Stack) -> None:
    async with Conversation(running, conversation_id="typed") as call:
        await call.end("A typed question?")
        heard = await call.until("turn_completed")
        assert heard.heard
        assert heard.kept_audio_ms == 0
        await call.done()
    assert await turns_of(running, "typed") == [(True, 1, "A typed question?", 0)]


async def test_half_close_ends_the_turn_that_is_open(running: Stack) -> None:
    async with Conversation(running) as call:
        await call.say("No end of turn comes")
        await call.done()
    assert call.spoken[0].completed[0].finish_reason == EOS
    assert call.error is None


async def test_turns_that_are_sent_ahead_are_spoken_in_order(running: Stack) -> None:
    async with Conversation(running, conversation_id="queue") as call:
        for text in ("Number one.", "Number two.", "Number three."):
            await call.say(text)
            await call.end()
        await call.done()
    assert [s.texts for s in running.generator.streams] == [
        ["Number one."],
        ["Number two."],
        ["Number three."],
    ]
    assert [len(s.context) for s in running.generator.streams] == [0, 1, 2]
    assert [t[2] for t in await turns_of(running, "queue")] == [
        "Number one.",
        "Number two.",
        "Number three.",
    ]


async def test_white_space_between_turns_begins_none(running: Stack) -> None:
    async with Conversation(running) as call:
        await call.say("Hello. \n")
        await call.end()
        await call.say("\n")
        await call.done()
    assert call.error is None
    assert len(call.spoken) == 1


async def test_a_conversation_goes_on_in_a_later_call_with_its_voice(running: Stack) -> None:
    async with Conversation(running, conversation_id="later") as call:
        await call.say("Hello.")
        await call.done()
    async with Conversation(running, conversation_id="later") as again:
        assert (await again.until("started")).num_turns == 1


async def test_a_conversation_in_use_is_refused_to_others(running: Stack) -> None:
    async with Conversation(running, conversation_id="mine") as call:
        await call.until("started")
        async with Conversation(running, conversation_id="mine") as other:
            error = await other.failed()
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await synthesize(running, "Hello.", conversation_id="mine")
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.stub.DeleteConversation(
                speech_pb2.DeleteConversationRequest(conversation_id="mine")
            )
        # Without a turn there is nothing to delete yet, but it is in use all the same.
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        await call.done()
    async with Conversation(running, conversation_id="mine") as free:
        await free.until("started")


async def test_max_audio_ms_ends_a_turn_whose_text_goes_on(running: Stack) -> None:
    async with Conversation(running, max_audio_ms=160) as call:
        await call.say("A first sentence. ")
        completed = await call.until("turn_completed")
        assert completed.finish_reason == MAX_DURATION
        await call.say("What nobody hears. ")
        await call.end()
        await call.say("Another.")
        await call.end()
        await call.done()
    assert [t.completed[0].finish_reason for t in call.spoken] == [MAX_DURATION, MAX_DURATION]
    assert [s.texts for s in running.generator.streams] == [["A first sentence."], ["Another."]]


# --- barge-in ---


async def test_cancel_ends_the_turn_in_band_and_leaves_the_stream_open(running: Stack) -> None:
    running.generator.frame_s = 0.1  # 36 frames: it would go on for three seconds
    async with Conversation(running, conversation_id="barge") as call:
        await call.say("A long sentence that goes on for " + "ever and " * 15 + "ever.")
        await call.end()
        await call.until("audio", 5)
        began = time.monotonic()
        await call.cancel()
        completed = await call.until("turn_completed")
        assert time.monotonic() - began < 1.5
        assert completed.finish_reason == CANCELLED
        (turn,) = call.spoken
        assert completed.kept_audio_ms == 80 * len(turn.frames)
        assert completed.usage.generated_frames >= len(turn.frames)
        sent = running.generator.streams[0].sent
        await call.say("Next.")
        await call.end()
        second = await call.until("turn_completed", 2)
        assert second.finish_reason == EOS
        await call.done()
    assert sent < 20
    assert running.generator.streams[0].sent == sent
    ((name, keep),) = running.generator.streams[0].cancels
    assert name == f"{completed.turn_id}.0"
    assert keep is None  # what stays is decided here, not there
    assert running.sample("csm_gateway_requests_total", rpc="Converse", outcome="cancelled") == 1
    assert running.sample("csm_gateway_cancel_latency_seconds_count") == 1
    context = running.generator.streams[1].context
    assert context[0].frames.num_frames == len(turn.frames)
    assert "A long sentence that goes on".startswith(context[0].text[:20])
    assert len(context[0].text) < 100


async def test_cancel_truncates_the_conversation_to_what_was_heard(running: Stack) -> None:
    running.generator.frame_s = 0.005
    async with Conversation(running, conversation_id="cut") as call:
        # 4 + 5 frames, then a third sentence that never ends.
        await call.say("One two three four. " + "Alpha beta gamma delta. " + "Omega. " * 40)
        await call.until("audio", 12)
        await call.cancel(heard_ms=500)
        completed = await call.until("turn_completed")
        assert completed.kept_audio_ms == 560
        await call.done()
    # 500 ms are 7 frames: the first sentence whole, 3 of 5 frames of the second.
    assert await turns_of(running, "cut") == [
        (False, 0, "One two three four. Alpha beta gamma", 560)
    ]


async def test_what_waits_to_be_sent_is_dropped_before_anything_else(running: Stack) -> None:
    running.generator.frames_per_char = 1
    async with Conversation(running, max_lead_ms=200) as call:
        await call.say("x" * 50 + ".")
        await call.end()
        await call.until("audio", 3)
        await call.cancel()
        await call.until("turn_completed")
        audio = len(call.all("audio"))
        assert audio <= 6
        await asyncio.sleep(0.3)
        assert len(call.all("audio")) == audio
        await call.done()
    await running.settled()


async def test_cancel_while_the_client_does_not_read_frees_the_generator(running: Stack) -> None:
    running.generator.frames_per_char = 20
    call = running.stub.Converse()
    await call.write(speech_pb2.ConverseRequest(config=speech_pb2.ConverseConfig()))
    await call.write(
        speech_pb2.ConverseRequest(text=speech_pb2.ConverseText(text="x" * 190 + ". "))
    )
    stream, last = None, -1
    for _ in range(100):
        await asyncio.sleep(0.1)
        if running.generator.streams:
            stream = running.generator.streams[0]
            if stream.sent == last:
                break
            last = stream.sent
    assert stream is not None
    assert running.generator.running == 1
    began = time.monotonic()
    await call.write(speech_pb2.ConverseRequest(cancel=speech_pb2.ConverseCancel()))
    while running.generator.running and time.monotonic() - began < 5:
        await asyncio.sleep(0.005)
    assert time.monotonic() - began < 3
    assert running.tokenizer.decoding == 0
    await call.done_writing()
    kinds = []
    while (answer := await call.read()) is not grpc.aio.EOF:
        kinds.append(answer.WhichOneof("response"))
    assert kinds.count("turn_completed") == 1
    assert kinds[-1] == "turn_completed"


async def test_cancels_of_unknown_and_finished_turns_are_ignored(running: Stack) -> None:
    async with Conversation(running, conversation_id="calm") as call:
        await call.cancel()
        await call.cancel("nobody", 100)
        await call.say("Hello there, friend.")
        await call.end()
        completed = await call.until("turn_completed")
        for _ in range(3):
            await call.cancel(completed.turn_id)
            await call.cancel()
        await call.say("Again.")
        await call.end()
        await call.until("turn_completed", 2)
        await call.done()
    assert call.error is None
    assert len(call.all("turn_completed")) == 2
    assert (await turns_of(running, "calm"))[0] == (False, 0, "Hello there, friend.", 320)


async def test_naming_a_finished_turn_says_how_much_of_it_was_heard(running: Stack) -> None:
    # Unpaced audio is sent long before it is played: a barge-in may come after the terminal.
    async with Conversation(running, conversation_id="played") as call:
        await call.say("One two three four. Five six seven.")
        await call.end()
        completed = await call.until("turn_completed")
        await call.cancel(completed.turn_id, 170)
        await call.end("Stop it.")
        await call.until("turn_completed", 2)
        await call.cancel(completed.turn_id, 10_000)
        await call.done()
    cut, same = call.all("turn_truncated")
    assert (cut.turn_id, cut.kept_audio_ms, cut.kept_text) == (
        completed.turn_id,
        240,
        "One two three",
    )
    assert same == cut
    assert len(call.spoken) == 1
    assert await turns_of(running, "played") == [
        (False, 0, "One two three", 240),
        (True, 1, "Stop it.", 0),
    ]


async def test_cancel_ends_every_turn_that_waits_with_a_terminal_each(running: Stack) -> None:
    running.generator.mute.clear()
    async with Conversation(running, conversation_id="all") as call:
        await call.say("The first.")
        await call.end()
        await call.say("The second.")
        await call.end()
        await call.say("The third, unfinished")
        await call.until("turn_started")
        await call.cancel(heard_ms=0)
        await call.until("turn_completed", 3)
        await call.end()
        running.generator.mute.set()
        await call.say("The fourth.")
        await call.end()
        await call.done()
    assert call.error is None
    reasons = [t.completed[0].finish_reason for t in call.spoken]
    assert reasons == [CANCELLED, CANCELLED, CANCELLED, EOS]
    assert await turns_of(running, "all") == [(False, 0, "The fourth.", 240)]


async def test_a_generator_that_does_not_answer_a_cancel_holds_nobody_up() -> None:
    async with stack(cancel_timeout_s=0.1) as running:
        running.generator.deaf_to_cancel = True
        running.generator.frame_s = 0.1
        async with Conversation(running) as call:
            await call.say("x" * 150 + ". ")
            await call.until("audio", 2)
            began = time.monotonic()
            await call.cancel()
            completed = await call.until("turn_completed")
            assert time.monotonic() - began < 1
            assert completed.finish_reason == CANCELLED
            assert completed.usage.generated_frames >= 2
            await call.say("Next.")
            await call.end()
            await call.until("turn_completed", 2)
            await call.done()
        await running.settled()


# --- bad input ---


async def test_the_first_message_must_be_the_config(running: Stack) -> None:
    call = running.stub.Converse()
    await call.write(speech_pb2.ConverseRequest(text=speech_pb2.ConverseText(text="Hello.")))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert list(violations(caught.value)) == ["config"]
    call = running.stub.Converse()
    await call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert list(violations(caught.value)) == ["config"]


async def test_a_second_config_ends_the_call(running: Stack) -> None:
    async with Conversation(running) as call:
        await call.send(config=speech_pb2.ConverseConfig())
        error = await call.failed()
    assert list(violations(error)) == ["config"]
    await running.settled()


FILE = common_pb2.AudioFormat(encoding=common_pb2.AUDIO_ENCODING_FILE)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"input_format": FILE}, "config.input_format.encoding"),
        ({"output_format": FILE}, "config.output_format.encoding"),
        ({"heard_speaker": 70_000}, "config.heard_speaker"),
        (
            {"sampling": common_pb2.Sampling(temperature=float("inf"))},
            "config.sampling.temperature",
        ),
        ({"conversation_id": "x" * 200}, "config.conversation_id"),
        ({"conversation_id": "a\x00b"}, "config.conversation_id"),
        ({"max_audio_ms": 5}, "config.max_audio_ms"),
    ],
)
async def test_a_wrong_config_is_refused(running: Stack, config: dict, field: str) -> None:
    async with Conversation(running, **config) as call:
        assert list(violations(await call.failed())) == [field]


async def test_bad_messages_end_the_call_naming_the_field(running: Stack) -> None:
    async def fails(**kind: object) -> list[str]:
        async with Conversation(running) as call:
            await call.send(**kind)
            return list(violations(await call.failed()))

    assert await fails(end_of_turn=speech_pb2.ConverseEndOfTurn()) == ["end_of_turn"]
    assert await fails(text=speech_pb2.ConverseText(text="x" * 5000)) == ["text"]
    assert await fails() == ["request"]
    big = bytes((1 << 20) + 2)
    assert await fails(heard_audio=speech_pb2.ConverseHeardAudio(audio=big)) == [
        "heard_audio.audio"
    ]
    assert await fails(end_of_turn=speech_pb2.ConverseEndOfTurn(heard_text="x" * 5000)) == [
        "end_of_turn.heard_text"
    ]
    await running.settled()


@pytest.mark.parametrize("text", ["...", "…", "🙂", " "])
@pytest.mark.parametrize("num_frames", [0, 3])
async def test_heard_words_without_a_letter_are_left_out_and_the_call_goes_on(
    running: Stack, text: str, num_frames: int
) -> None:
    async with Conversation(running, conversation_id="noise") as call:
        await call.say("A first sentence.")
        await call.end()
        if num_frames:
            await call.hear(num_frames)
        await call.end(heard_text=text)
        await call.say("A second sentence.")
        await call.done()
    assert call.error is None
    spoken, heard, again = call.all("turn_completed")
    assert (spoken.heard, heard.heard, again.heard) == (False, True, False)
    assert heard.kept_audio_ms == num_frames * 80
    (warning,) = heard.warnings
    assert (warning.field, warning.end_char) == ("end_of_turn.heard_text", len(text))
    assert warning.kind == common_pb2.WARNING_KIND_UNSPEAKABLE


@pytest.mark.parametrize("limits", [{"max_streams": 1}, {"quota_requests_per_minute": 6}])
async def test_a_turn_that_is_cancelled_before_it_began_needs_no_place(
    limits: dict[str, int],
) -> None:
    async with stack(**limits) as running:
        running.generator.frame_s = 0.02
        async with Conversation(running) as one, Conversation(running) as two:
            await one.say("x" * 400 + ".")
            await one.end()
            await one.until("audio")
            for count in range(1, 9):
                await two.say("No end of it")
                await two.until("started")
                await two.cancel()
                completed = await two.until("turn_completed", count)
                assert completed.finish_reason == CANCELLED
                assert not completed.HasField("error")
            outcome = {"rpc": "Converse", "outcome": "rejected"}
            assert running.sample("csm_gateway_requests_total", **outcome) in (None, 0.0)


async def test_a_heard_turn_that_gets_too_long_is_refused() -> None:
    async with stack(max_heard_audio_ms=1000) as running:
        async with Conversation(running) as call:
            await call.hear(12)
            await call.hear(1)
            assert list(violations(await call.failed())) == ["heard_audio.audio"]
        await running.settled()


async def test_more_waiting_turns_than_the_queue_takes_are_refused(running: Stack) -> None:
    running.generator.mute.clear()
    async with Conversation(running) as call:
        for _ in range(70):
            try:
                await call.say("More.")
                await call.end()
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                break
        assert (await call.failed()).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await running.settled()


async def test_a_client_that_vanishes_frees_everything(running: Stack) -> None:
    running.generator.frame_s = 0.02
    async with Conversation(running, conversation_id="lost") as call:
        await call.say("x" * 150 + ".")
        await call.end()
        await call.say("Waiting")
        await call.hear(3.5)
        await call.until("audio", 3)
    await running.settled()
    ((_, _, _, audio_ms),) = await turns_of(running, "lost")
    assert 240 <= audio_ms < 2400
    assert running.generator.streams[0].sent < 40
    name = "csm_gateway_requests_total"
    assert running.sample(name, rpc="Converse", outcome="cancelled") == 2


async def test_a_deadline_ends_the_call_and_frees_everything(running: Stack) -> None:
    running.generator.mute.clear()
    async with Conversation(running, timeout_s=0.5) as call:
        await call.say("Never said.")
        await call.end()
        error = await call.failed()
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await running.settled()
    assert running.sample("csm_gateway_requests_total", rpc="Converse", outcome="deadline") == 1


async def test_a_heard_turn_longer_than_the_context_does_not_end_the_conversation(
    running: Stack,
) -> None:
    running.generator.max_positions = 50
    await asyncio.sleep(0.5)  # until the gateway has asked again
    async with Conversation(running, conversation_id="long") as call:
        await call.hear(60)
        await call.end("A long story.")
        assert (await call.until("turn_completed")).finish_reason == EOS
        await call.say("I see.")
        await call.end()
        assert (await call.until("turn_completed", 2)).finish_reason == EOS
        await call.done()
    assert [len(s.context) for s in running.generator.streams] == [0]
    assert [t[3] for t in await turns_of(running, "long")] == [4800, 160]


async def test_a_cancel_is_obeyed_however_many_turns_wait(running: Stack) -> None:
    running.generator.mute.clear()
    async with Conversation(running) as call:
        for number in range(MAX_WAITING_TURNS + 1):
            await call.say(f"Turn {number}.")
            await call.end()
            if number == 0:
                await call.until("turn_started")
        await call.say("Half a sentence without")
        await call.cancel()
        await call.until("turn_completed", MAX_WAITING_TURNS + 2)
        reasons = {c.finish_reason for c in call.all("turn_completed")}
        assert reasons == {CANCELLED}
        running.generator.mute.set()
        await call.say("Go on.")
        await call.end()
        last = await call.until("turn_completed", MAX_WAITING_TURNS + 3)
        assert last.finish_reason == EOS
        await call.done()
    assert call.error is None


def heard_audio(running: Stack) -> HeardAudio:
    """What a call of an hour would feed."""
    form = StreamFormat(common_pb2.AUDIO_ENCODING_PCM_S16LE, RATE, 1)
    return HeardAudio(running.service.backends, form, 3_600_000, 20.0)


async def test_a_tokenizer_that_is_behind_holds_the_audio_back(running: Stack) -> None:
    running.tokenizer.hearing.clear()
    audio = heard_audio(running)
    chunk = bytes(256 << 10)
    fed = 0

    async def feed_all() -> None:
        nonlocal fed
        for _ in range(160):
            audio.feed(chunk)
            fed += 1
            await audio.room()

    feeding = asyncio.create_task(feed_all())
    await asyncio.sleep(0.3)
    waiting = fed
    # The connection itself holds some.
    assert waiting < 120
    await asyncio.sleep(0.2)
    assert fed == waiting
    running.tokenizer.hearing.set()
    await feeding
    audio.close()
    _, num_frames = await audio.frames()
    assert num_frames == math.ceil(160 * len(chunk) / 2 / FRAME_SAMPLES)


async def test_a_tokenizer_that_is_behind_and_dies_does_not_hang_the_call(running: Stack) -> None:
    running.tokenizer.hearing.clear()
    async with Conversation(running) as call:

        async def send_all() -> None:
            for _ in range(52):
                part = speech_pb2.ConverseHeardAudio(audio=bytes(256 << 10))
                await call.send(heard_audio=part)
            await call.end()

        sending = asyncio.create_task(send_all())
        await asyncio.sleep(0.3)
        await running.tokenizer.down()
        await asyncio.wait_for(sending, 10)
        assert (await call.until("turn_completed")).finish_reason == ERROR


async def test_audio_for_a_call_that_has_ended_does_not_pile_up(running: Stack) -> None:
    running.tokenizer.fail_encode = [errors.QueueFull("all streams are in use")]
    audio = heard_audio(running)
    for _ in range(100):
        audio.feed(bytes(1 << 20))
        await asyncio.wait_for(audio.room(), 10)
    assert audio._call.requests.waiting_bytes <= MAX_WAITING_BYTES
    with pytest.raises(BackendFailure, match="in use"):
        await audio.frames()
