"""What one bad turn, one full queue or one silent client does to a Converse call: never its end."""

import contextlib

import grpc
import pytest

from csm import errors
from csm.v1 import common_pb2
from tests.gateway.calls import Conversation, synthesize, turns_of
from tests.gateway.fakes import EOS, ERROR, MAX_DURATION, Stack, stack


@pytest.mark.parametrize("text", ["🙂 ...", "👍", "...", "   ", "\n\t"])
async def test_a_turn_without_a_word_completes_with_no_sound_and_says_so(
    running: Stack, text: str
) -> None:
    async with Conversation(running, conversation_id="signs") as call:
        await call.say(text)
        await call.end()
        completed = await call.until("turn_completed")
        await call.say("Hello.")
        await call.end()
        assert (await call.until("turn_completed", 2)).finish_reason == EOS
        await call.done()
    assert completed.finish_reason == EOS
    assert completed.kept_audio_ms == 0
    (warning,) = completed.warnings
    assert warning.kind == common_pb2.WARNING_KIND_UNSPEAKABLE
    assert (warning.field, warning.first_char) == ("text", 0)
    assert [turn[2] for turn in await turns_of(running, "signs")] == ["Hello."]


async def test_a_sentence_that_the_model_cannot_say_is_left_out_and_named(running: Stack) -> None:
    running.generator.unspeakable = {"Привет": errors.invalid("text", "has no character known")}
    text = "Hello. Привет, мир. Bye."
    async with Conversation(running, conversation_id="cyrillic") as call:
        await call.say(text)
        await call.end()
        completed = await call.until("turn_completed")
        await call.say("A good turn.")
        await call.end()
        await call.until("turn_completed", 2)
        await call.done()
    assert completed.finish_reason == EOS
    (warning,) = completed.warnings
    assert text[warning.first_char : warning.end_char] == "Привет, мир."
    assert warning.kind == common_pb2.WARNING_KIND_UNSPEAKABLE
    assert warning.description == "not spoken: has no character known"
    assert [turn[2] for turn in await turns_of(running, "cyrillic")] == [
        "Hello. Bye.",
        "A good turn.",
    ]


async def test_a_sentence_that_is_too_long_for_the_model_is_named_as_that(running: Stack) -> None:
    too_long = errors.TooLong(errors.FieldViolation("text", "484 positions; at most 400"))
    running.generator.unspeakable = {"numbers": too_long}
    text = "Hello. These are numbers. Bye."
    heard = await synthesize(running, text)
    (warning,) = heard.completed[0].warnings
    assert warning.kind == common_pb2.WARNING_KIND_TOO_LONG
    assert text[warning.first_char : warning.end_char] == "These are numbers."
    assert warning.description == "not spoken: 484 positions; at most 400"


async def test_a_sentence_that_was_cut_at_the_models_longest_is_named(running: Stack) -> None:
    running.generator.finish = {1: MAX_DURATION}
    text = "Hello. This one does not end. Bye."
    async with Conversation(running, conversation_id="cut") as call:
        await call.say(text)
        await call.end()
        completed = await call.until("turn_completed")
        await call.done()
    (warning,) = completed.warnings
    assert warning.kind == common_pb2.WARNING_KIND_CUT
    assert text[warning.first_char : warning.end_char] == "This one does not end."
    assert "max_audio_ms" in warning.description
    # What follows is still said; of what was cut the history has the words that were.
    ((_, _, kept, *_),) = await turns_of(running, "cut")
    assert kept.startswith("Hello. This one")
    assert kept.endswith(" Bye.")
    assert "end" not in kept


async def test_a_full_generator_ends_the_turn_in_band_and_not_the_call(running: Stack) -> None:
    running.generator.refuse = [errors.QueueFull("16 turns wait", retry_after_s=3)]
    async with Conversation(running) as call:
        await call.say("Hello.")
        await call.end()
        completed = await call.until("turn_completed")
        await call.say("Again.")
        await call.end()
        assert (await call.until("turn_completed", 2)).finish_reason == EOS
        await call.done()
    assert completed.finish_reason == ERROR
    told = errors.from_status_message(completed.error, "gateway")
    assert isinstance(told, errors.QueueFull)
    assert told.retry_after_s == 3


async def test_a_cancel_without_a_name_behind_the_terminal_means_the_turn_last_spoken(
    running: Stack,
) -> None:
    async with Conversation(running, conversation_id="late") as call:
        await call.say("One two three four. Five six seven.")
        await call.end()
        completed = await call.until("turn_completed")
        await call.cancel(heard_ms=170)
        cut = await call.until("turn_truncated")
        await call.done()
    assert (cut.turn_id, cut.kept_audio_ms) == (completed.turn_id, 240)
    assert await turns_of(running, "late") == [(False, 0, "One two three", 240)]


async def test_a_cancel_of_an_unknown_turn_says_that_nothing_changed(running: Stack) -> None:
    async with Conversation(running) as call:
        await call.cancel("nobody", 100)
        assert (await call.until("turn_truncated")).turn_id == ""
        await call.done()


async def test_a_seed_gives_each_turn_of_a_call_noise_of_its_own(running: Stack) -> None:
    async with Conversation(running, sampling=common_pb2.Sampling(seed=2**64 - 1)) as call:
        for number in (1, 2):
            await call.say("Hello.")
            await call.end()
            await call.until("turn_completed", number)
        await call.done()
    assert [s.config.sampling.seed for s in running.generator.streams] == [2**64 - 1, 0]


async def test_a_call_that_says_nothing_ends_with_a_status_that_names_the_limit() -> None:
    async with stack(max_idle_s=0.4) as running, Conversation(running) as call:
        await call.say("Hello.")
        await call.end()
        await call.until("turn_completed")
        error = await call.failed()
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "max_idle_s" in (error.details() or "")


async def test_calls_that_say_nothing_take_no_place_from_those_that_speak() -> None:
    async with stack(max_streams=1) as running, contextlib.AsyncExitStack() as calls:
        for _ in range(5):
            await calls.enter_async_context(Conversation(running))
        assert (await synthesize(running, "Hello.")).completed[0].finish_reason == EOS


async def test_a_turn_without_a_place_is_refused_in_band() -> None:
    async with stack(max_streams=1) as running:
        running.generator.mute.clear()
        async with Conversation(running) as first, Conversation(running) as second:
            await first.say("Hello there.")
            await first.end()
            await first.until("turn_started")
            await second.say("And I?")
            await second.end()
            completed = await second.until("turn_completed")
            assert completed.finish_reason == ERROR
            told = errors.from_status_message(completed.error, "gateway")
            assert isinstance(told, errors.QueueFull)
            name = "csm_gateway_requests_total"
            assert running.sample(name, rpc="Converse", outcome="rejected") == 1
            assert running.sample(name, rpc="Converse", outcome="failed") == 0
            running.generator.mute.set()
            await first.until("turn_completed")
            await second.say("And now?")
            await second.end()
            assert (await second.until("turn_completed", 2)).finish_reason == EOS


async def test_one_client_has_no_more_than_its_share() -> None:
    async with stack(max_streams=8, max_streams_per_client=1) as running:
        running.generator.mute.clear()
        async with Conversation(running) as first:
            await first.say("Hello there.")
            await first.end()
            await first.until("turn_started")
            with pytest.raises(grpc.aio.AioRpcError, match="for this client"):
                await synthesize(running, "Hello.")
            running.generator.mute.set()
