"""The RPCs over a real gRPC server: what they answer, and what bad input gets."""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2

from csm import errors
from csm.v1 import common_pb2, generator_pb2
from services.generator.servicer import GeneratorServicer
from tests.generator.fake_model import FakeModel, fake_config
from tests.generator.grpc_harness import BOOKS, Failure, Heard, segment, serving

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def codes(frames: int, fill: int = 3, books: int = BOOKS) -> np.ndarray:
    return np.full((frames, books), fill, np.uint16)


async def test_a_turn_is_started_then_frames_then_one_terminal_with_all_its_figures() -> None:
    async with serving(FakeModel(eos_after=8)) as server:
        stream = await server.open(sampling={"seed": 5})
        await stream.say("hello ", "t1")
        heard = await stream.turn()
        await stream.end()
    assert heard.started
    assert heard.completed
    # bos [ 0 ] h e l l o space eos
    assert (heard.started.turn_id, heard.started.prompt_frames, heard.started.seed) == ("t1", 11, 5)
    assert heard.completed.finish_reason == common_pb2.FINISH_REASON_EOS
    usage, timing = heard.completed.usage, heard.completed.timing
    assert (usage.text_tokens, usage.prompt_frames, usage.reused_frames) == (11, 11, 0)
    assert (usage.generated_frames, usage.audio_ms) == (8, 640)
    assert len(heard.codes) == 8
    assert 0 < timing.prefill_ms <= timing.first_frame_ms <= timing.total_ms
    assert 0 <= timing.queue_ms <= timing.first_frame_ms


async def test_the_parts_of_a_text_are_joined_as_they_are() -> None:
    async with serving() as server:
        stream = await server.open()
        for part in ("hel", "lo th", "ere"):
            await stream.send(text=generator_pb2.GenerateText(text=part))
        await stream.say("")
        parts = await stream.turn()
        whole = await server.speak("hello there")
    np.testing.assert_array_equal(parts.codes, whole.codes)


async def test_a_completed_turn_is_context_of_the_next_and_is_reused() -> None:
    async with serving() as server:
        stream = await server.open(speaker=3)
        await stream.say("one.", "1")
        first = await stream.turn()
        await stream.say("two.", "2")
        second = await stream.turn()
        await stream.end()
        fresh = await server.open(speaker=3)
        await fresh.context(segment("one.", first.codes, speaker=3))
        await fresh.say("two.")
        anew = await fresh.turn()
    assert second.started
    assert anew.completed
    assert second.started.reused_frames == 9 + 9
    assert anew.completed.usage.reused_frames == 0
    np.testing.assert_array_equal(second.codes, anew.codes)


async def test_a_conversation_keeps_its_cache_between_calls() -> None:
    async with serving() as server:
        first = await server.speak("one.", conversation_id="talk")
        stream = await server.open(conversation_id="talk")
        await stream.context(segment("one.", first.codes), replace=True)
        await stream.say("two.")
        second = await stream.turn()
        await stream.end()
        assert second.started
        assert second.started.reused_frames == 18
        await server.speak("one")
        # The stream without a name gives its slot back as its call ends.
        await server.settled(lambda: server.service.engine.load.cached == 1)
        assert (await server.load()).conversations_cached == 1


async def test_an_empty_text_continues_the_audio_of_the_context() -> None:
    async with serving() as server:
        stream = await server.open()
        await stream.context(segment("hi.", codes(6)))
        await stream.say("")
        heard = await stream.turn()
        assert heard.completed
        assert heard.completed.usage.text_tokens == 0
        assert heard.completed.usage.prompt_frames == 8 + 6
        again = await server.open()
        await again.context(segment("hi.", codes(6)))
        await again.say("")
        np.testing.assert_array_equal((await again.turn()).codes, heard.codes)


async def test_the_seed_counts_up_from_turn_to_turn_and_is_told() -> None:
    async with serving() as server:
        warm = {"temperature": 0.9, "seed": (1 << 64) - 1}
        stream = await server.open(sampling=warm)
        seeds, spoken = [], []
        for _ in range(2):
            await stream.context(replace=True)
            await stream.say("hello")
            heard = await stream.turn()
            assert heard.started
            seeds.append(heard.started.seed)
            spoken.append(heard.codes)
        assert seeds == [(1 << 64) - 1, 0]
        again = await server.speak("hello", sampling={"temperature": 0.9, "seed": 0})
        np.testing.assert_array_equal(again.codes, spoken[1])
        assert not np.array_equal(spoken[0], spoken[1])


async def test_without_a_seed_the_server_draws_one_that_repeats_the_turn() -> None:
    async with serving() as server:
        drawn = [await server.speak("hello", sampling={"temperature": 0.9}) for _ in range(2)]
        first, second = drawn
        assert first.started
        assert second.started
        assert first.started.seed != second.started.seed
        again = await server.speak(
            "hello", sampling={"temperature": 0.9, "seed": first.started.seed}
        )
    np.testing.assert_array_equal(again.codes, first.codes)


async def test_max_audio_ms_bounds_a_turn() -> None:
    async with serving() as server:
        heard = await server.speak("hello", max_audio_ms=250)
        assert heard.completed
        assert heard.completed.finish_reason == common_pb2.FINISH_REASON_MAX_DURATION
        assert len(heard.codes) == 3


async def test_credit_pauses_a_turn_and_is_kept_over_turns() -> None:
    async with serving() as server:
        stream = await server.open(initial_credit_frames=4)
        await stream.say("hello")
        assert len((await stream.turn(frames_only=4)).codes) == 4
        await asyncio.sleep(0.1)
        assert server.service.engine.load.running == 1
        await stream.send(credit=generator_pb2.GenerateCredit(frames=8))
        rest = []
        while (response := await stream.read()) and response.HasField("frames"):
            rest.append(response.frames.frames.num_frames)
        assert sum(rest) == 6
        # Two of the twelve are left for the next turn.
        await stream.say("again")
        assert len((await stream.turn(frames_only=2)).codes) == 2
        await asyncio.sleep(0.1)
        assert server.service.engine.load.running == 1
        assert server.sample("output_blocked_steps_total") >= 0


async def test_get_model_info_tells_the_model_and_the_defaults() -> None:
    async with serving() as server:
        info = await server.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
    assert (info.model, info.dtype, info.device) == ("fake", "float64", "cpu")
    assert (info.num_codebooks, info.codebook_size, info.text_vocab_size) == (4, 61, 300)
    assert (info.max_positions, info.slots, info.max_text_chars) == (256, 2, 4096)
    assert (info.sampling.temperature, info.sampling.top_p) == (0, 1)
    assert info.sampling.HasField("temperature")
    assert not info.HasField("max_context_segments")
    assert info.parameters > 0
    assert len(info.digest) == 64


async def test_get_load_counts_turns_that_run_and_wait() -> None:
    async with serving() as server:
        held = []
        for index in range(3):
            stream = await server.open(initial_credit_frames=1)
            await stream.say("hello", str(index))
            held.append(stream)
        await server.settled(lambda: server.service.engine.in_flight == 3)
        await server.settled(lambda: server.service.engine.load.running == 2)
        load = await server.load()
        assert (load.slots, load.running, load.waiting, load.max_queue) == (2, 2, 1, 2)
        assert load.heartbeat_age_ms < 5000
        assert 0 < load.kv_cache_usage_ratio < 1
        assert server.sample("requests_waiting") == 1
        for stream in held:
            stream.call.cancel()
        await server.empty()
        load = await server.load()
        assert (load.running, load.waiting, load.kv_cache_usage_ratio) == (0, 0, 0)


async def test_evict_conversation_frees_an_idle_one_only() -> None:
    async with serving() as server:

        async def evict(name: str) -> bool:
            request = generator_pb2.EvictConversationRequest(conversation_id=name)
            return (await server.stub.EvictConversation(request)).evicted

        await server.speak("hello", conversation_id="idle")
        stream = await server.open(conversation_id="busy", initial_credit_frames=1)
        await stream.say("hello")
        await stream.turn(frames_only=1)
        assert [await evict(name) for name in ("busy", "idle", "idle")] == [False, True, False]
        assert server.sample("conversation_evictions_total", reason="request") == 1
        for name in ("", "x" * 129):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await evict(name)
            assert Failure(error.value).violations.keys() == {"conversation_id"}


async def test_the_longest_idle_conversation_is_evicted_and_rebuilt() -> None:
    async with serving() as server:
        first = await server.speak("hello", conversation_id="a")
        for name in "bc":
            await server.speak("hello", conversation_id=name)
        assert server.sample("conversation_evictions_total", reason="lru") == 1
        stream = await server.open(conversation_id="a")
        await stream.context(segment("hello", first.codes))
        await stream.say("two")
        heard = await stream.turn()
        assert heard.completed
        assert heard.completed.usage.reused_frames == 0
        assert heard.completed.usage.generated_frames == 10


async def test_a_long_history_evicts_whole_segments_and_says_so() -> None:
    async with serving(FakeModel(fake_config(max_positions=128))) as server:
        stream = await server.open()
        await stream.context(
            segment("v", codes(10), pinned=True),
            *(segment("hello there", codes(10)) for _ in range(8)),
        )
        await stream.say("now")
        heard = await stream.turn()
        assert heard.started
        assert heard.completed
        assert heard.started.evicted_segments == heard.completed.usage.evicted_segments > 0
        assert heard.started.prompt_frames <= 118
        assert heard.completed.usage.generated_frames == 10
        assert server.sample("segments_evicted_total") == heard.completed.usage.evicted_segments


async def failing(**requests: Any) -> Failure:
    """Sends one message, after a config unless it is one, and returns the status."""
    async with serving() as server:
        stream = server.stream()
        if "first" not in requests:
            await stream.config()
        requests.pop("first", None)
        await stream.send(**requests)
        failure = await stream.error()
        await server.empty()
        assert (await server.speak("well")).completed
        return failure


@pytest.mark.parametrize(
    ("config", "field", "says"),
    [
        ({"sampling": {"temperature": -1}}, "sampling.temperature", "-1 is not allowed; must be 0"),
        ({"sampling": {"temperature": math.nan}}, "sampling.temperature", "nan is not allowed"),
        ({"sampling": {"temperature": 11}}, "sampling.temperature", "0..10"),
        ({"sampling": {"depth_temperature": math.inf}}, "sampling.depth_temperature", "inf"),
        ({"sampling": {"top_k": 65537}}, "sampling.top_k", "65537 is not allowed; must be 0..65"),
        ({"sampling": {"top_p": 0}}, "sampling.top_p", "0 is not allowed; must be above 0"),
        ({"sampling": {"top_p": 1.5}}, "sampling.top_p", "1.5 is not allowed"),
        ({"sampling": {"top_p": math.nan}}, "sampling.top_p", "nan is not allowed"),
        ({"speaker": 65536}, "speaker", "65536 is not allowed; must be 0..65535"),
        ({"conversation_id": "x" * 129}, "conversation_id", "129 characters; at most 128"),
        ({"max_audio_ms": 79}, "max_audio_ms", "79 is not allowed; must be 80..600000"),
        ({"max_audio_ms": 600_001}, "max_audio_ms", "600001 is not allowed"),
    ],
)
async def test_a_wrong_config_is_refused_by_field(config: dict, field: str, says: str) -> None:
    failure = await failing(first=True, config=generator_pb2.GenerateConfig(**config))
    assert failure.code is INVALID
    assert failure.violations.keys() == {f"config.{field}"}
    assert says in failure.violations[f"config.{field}"]


async def test_every_wrong_field_of_a_config_is_named_at_once() -> None:
    config: dict[str, Any] = {"speaker": 1 << 20, "sampling": {"temperature": -1, "top_p": 2}}
    failure = await failing(first=True, config=generator_pb2.GenerateConfig(**config))
    assert failure.violations.keys() == {
        "config.speaker",
        "config.sampling.temperature",
        "config.sampling.top_p",
    }


@pytest.mark.parametrize(
    ("request_fields", "field", "says"),
    [
        ({"config": {}}, "config", "a second one is not allowed"),
        ({}, "request", "the message is empty"),
        ({"credit": {"frames": 0}}, "credit.frames", "at least 1"),
        ({"flush": {"turn_id": "x" * 129}}, "flush.turn_id", "129 characters; at most 128"),
        (
            {"segments": {"segments": [segment("ok"), segment("x", speaker=65536)]}},
            "segments.segments[1].speaker",
            "65536 is not allowed",
        ),
        (
            {"segments": {"segments": [segment("x", codes(3, books=5))]}},
            "segments.segments[0].frames.num_codebooks",
            "5 is not allowed; this model has 4",
        ),
        (
            {"segments": {"segments": [segment("x", codes(3, fill=61))]}},
            "segments.segments[0].frames.codes",
            "code 61 at frame 0, codebook 0; allowed are 0..60",
        ),
        (
            {"segments": {"segments": [segment("x", codes(257))]}},
            "segments.segments[0].frames.num_frames",
            "257 is too many; at most 256",
        ),
        (
            {"segments": {"segments": [segment("x"), segment("y", pinned=True)]}},
            "segments.segments[1].pinned",
            "must precede",
        ),
        ({"segments": {"segments": [segment()]}}, "segments.segments[0]", "neither text"),
        (
            {"segments": {"segments": [segment("x")] * 1025}},
            "segments.segments",
            "1025 in one message; at most 1024",
        ),
        (
            {"segments": {"segments": [*[segment("x" * 4000)] * 40, segment()]}},
            "segments.segments[40]",
            "neither text",
        ),
    ],
)
async def test_a_wrong_message_is_refused_by_field(
    request_fields: dict, field: str, says: str
) -> None:
    failure = await failing(**request_fields)
    assert failure.code is INVALID
    assert failure.violations.keys() == {field}
    assert says in failure.violations[field]


def refused(heard: Heard, code: grpc.StatusCode = INVALID) -> dict[str, str]:
    """The violations by field of a turn that ended in band because it could not be spoken."""
    assert heard.completed
    assert heard.started is None
    assert heard.completed.finish_reason == common_pb2.FINISH_REASON_ERROR
    assert heard.completed.usage.generated_frames == len(heard.codes) == 0
    status = heard.completed.error
    assert status.code == code.value[0]
    request = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(request)
    return {v.field: v.description for v in request.field_violations}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("  \n", "no letter or digit"),
        ("\x00\x1f", "no letter or digit"),
        ("\N{GRINNING FACE}" * 3, "no letter or digit"),
        ("\u65e5\u672c", "no character that this model's tokenizer knows"),
        ("\u65e5 \u672c", "no character that this model's tokenizer knows"),
        ("", "it is empty"),
    ],
)
async def test_a_text_that_cannot_be_said_ends_its_turn_in_band_and_the_stream_goes_on(
    text: str, says: str
) -> None:
    async with serving() as server:
        stream = await server.open()
        await stream.say(text, "cannot")
        heard = await stream.turn()
        assert heard.completed
        assert heard.completed.turn_id == "cannot"
        violations = refused(heard)
        assert violations.keys() == {"text"}
        assert says in violations["text"]
        assert not text.strip() or text.strip() not in heard.completed.error.message
        await stream.say("well", "can")
        spoken = await stream.turn()
        assert spoken.completed
        assert (spoken.completed.turn_id, len(spoken.codes)) == ("can", 10)
        assert not spoken.completed.HasField("error")
        await stream.end()
        assert server.sample("rejected_total", reason="unspeakable") == 1


async def test_a_failure_of_the_model_ends_its_turn_with_internal_and_no_word_of_why() -> None:
    fake = FakeModel()
    async with serving(fake) as server:
        stream = await server.open()
        fake.fail_next("backbone")
        await stream.say("hello")
        heard = await stream.turn()
        assert heard.completed
        assert heard.completed.finish_reason == common_pb2.FINISH_REASON_ERROR
        assert heard.completed.error.code == grpc.StatusCode.INTERNAL.value[0]
        assert "broke" not in str(heard.completed)
        await stream.say("again")
        assert len((await stream.turn()).codes) == 10


async def test_a_stream_of_several_sentences_is_admitted_once_and_never_refused_between() -> None:
    async with serving(slots=1, max_queue=0) as server:
        speaking = await server.open()
        await speaking.say("one", "1")
        await speaking.turn()
        other = await server.open()
        await other.say("me too")
        assert (await other.error()).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        for number in "23":
            await speaking.say("more", number)
            assert len((await speaking.turn()).codes) == 10
        await speaking.end()
        assert (await server.speak("now")).completed
        await server.empty()
        assert server.service.engine.reserved == 0


@pytest.mark.parametrize("end", ["half-close", "cancel the call", "cancel in band", "breach"])
async def test_however_a_stream_ends_its_place_is_free(end: str) -> None:
    async with serving(slots=1, max_queue=0) as server:
        speaking = await server.open(initial_credit_frames=1)
        await speaking.say("one", "1")
        await speaking.turn(frames_only=1)
        assert server.service.engine.reserved == 1
        if end == "half-close":
            await speaking.send(credit=generator_pb2.GenerateCredit(frames=99))
            await speaking.call.done_writing()
        elif end == "cancel the call":
            speaking.call.cancel()
        elif end == "cancel in band":
            await speaking.send(cancel=generator_pb2.GenerateCancel())
        else:
            await speaking.config()
        await server.settled(lambda: server.service.engine.reserved == 0)
        assert (await server.speak("now")).completed


async def test_a_fifth_caller_is_heard_though_four_never_read() -> None:
    async with serving(slots=4, max_queue=8, stall_slot_s=0.2) as server:
        unread = [await server.open(initial_credit_frames=n + 1) for n in range(4)]
        for stream in unread:
            await stream.say("hello", "slow")
        await server.settled(lambda: server.service.engine.load.running == 4)
        fifth = await server.open()
        began = time.monotonic()
        await fifth.say("hello")
        heard = await fifth.turn()
        assert time.monotonic() - began < 2
        assert len(heard.codes) == 10
        load = await server.load()
        assert load.waiting == 0
        assert load.running == 3
        # Who gave up a slot waits for credit, not for a slot.
        await server.settled(lambda: server.sample("requests_parked") == 1)
        for stream in unread:
            await stream.send(credit=generator_pb2.GenerateCredit(frames=100))
            slow = await stream.turn()
            np.testing.assert_array_equal(slow.codes, heard.codes)
            await stream.end()
        await fifth.end()
        await server.empty()


async def test_a_stream_that_sends_no_config_ends_with_the_limit_named() -> None:
    async with serving(first_message_s=0.1) as server:
        failure = await server.stream().error()
        assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "none came within 0.1 s (first_message_s)" in failure.message


async def test_a_stream_with_nothing_to_do_ends_with_the_limit_named_and_holds_no_slot() -> None:
    async with serving(max_idle_s=0.3) as server:
        stream = await server.open()
        for _ in range(4):
            await asyncio.sleep(0.15)
            await stream.send(text=generator_pb2.GenerateText(text="a "))
        await stream.say("")
        assert len((await stream.turn()).codes) == 10
        assert server.service.engine.load.running == 0
        failure = await stream.error()
        assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "0.3 s (max_idle_s" in failure.message
        await server.empty()
        assert server.service.engine.reserved == 0


async def test_a_turn_under_way_is_never_idle() -> None:
    async with serving(max_idle_s=0.1) as server:
        stream = await server.open(initial_credit_frames=1)
        await stream.say("hello")
        await stream.turn(frames_only=1)
        await asyncio.sleep(0.3)
        await stream.send(credit=generator_pb2.GenerateCredit(frames=99))
        assert (await stream.turn(frames_only=9)).codes.shape == (9, BOOKS)


async def test_segments_left_out_are_counted_once_though_sent_with_every_call() -> None:
    async with serving(FakeModel(fake_config(max_positions=128))) as server:
        history = [segment("hello there", codes(10)) for _ in range(8)]
        counts, left_out = [], 0
        for _ in range(3):
            stream = await server.open(conversation_id="talk")
            await stream.context(*history, replace=True)
            await stream.say("now")
            heard = await stream.turn()
            assert heard.completed
            left_out = heard.completed.usage.evicted_segments
            assert left_out > 0
            await stream.end()
            counts.append(server.sample("segments_evicted_total"))
            history.append(segment("now", heard.codes))
        # Of all 10 segments each at most once: as many as are left out at the end.
        assert counts[0] <= counts[1] <= counts[2] == left_out < 10


@pytest.mark.parametrize("parts", [[120], [40, 40, 40], [200, 1]])
async def test_a_text_over_the_limit_ends_its_turn_in_band_and_the_stream_goes_on(
    parts: list[int],
) -> None:
    async with serving(max_text_chars=100) as server:
        stream = await server.open()
        for length in parts:
            await stream.send(text=generator_pb2.GenerateText(text="a" * length))
        await stream.say("", "long")
        heard = await stream.turn()
        assert heard.completed
        assert heard.completed.turn_id == "long"
        assert refused(heard) == {"text": f"{sum(parts)} characters; at most 100 are allowed"}
        await stream.say("a" * 100)
        assert len((await stream.turn()).codes) == 10
        await stream.end()
        assert server.sample("rejected_total", reason="too_long") == 1


async def test_a_first_message_that_is_no_config_is_refused() -> None:
    failure = await failing(first=True, text=generator_pb2.GenerateText(text="hello"))
    assert failure.violations == {"config": "the first message must be the config; it is text"}


async def test_a_stream_without_any_message_is_refused() -> None:
    async with serving() as server:
        stream = server.stream()
        await stream.call.done_writing()
        failure = await stream.error()
    assert failure.code is INVALID
    assert failure.violations.keys() == {"config"}


async def test_a_text_too_long_for_the_context_ends_its_turn_in_band_and_is_counted() -> None:
    async with serving(max_positions=64) as server:
        stream = await server.open()
        await stream.say("a" * 79 + ".")
        heard = await stream.turn()
        violations = refused(heard)
        assert violations.keys() == {"text"}
        assert "85 positions" in violations["text"]
        # By its reason the gateway knows that the text may be said in shorter parts.
        info = error_details_pb2.ErrorInfo()
        assert heard.completed is not None
        assert heard.completed.error.details[1].Unpack(info)
        assert info.reason == errors.TOO_LONG
        assert server.sample("rejected_total", reason="too_long") == 1
        await stream.say("a" * 20)
        assert len((await stream.turn()).codes) == 10


@pytest.mark.parametrize("second", ["flush", "segments"])
async def test_a_turn_under_way_refuses_another_flush_and_new_context(second: str) -> None:
    async with serving() as server:
        stream = await server.open(initial_credit_frames=1)
        await stream.say("hello", "first")
        await stream.turn(frames_only=1)
        if second == "flush":
            await stream.say("again", "second")
        else:
            await stream.context(segment("more"))
        failure = await stream.error()
        assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
        await server.empty()


async def test_a_conversation_has_one_turn_at_a_time_over_all_calls() -> None:
    async with serving() as server:
        first = await server.open(conversation_id="talk", initial_credit_frames=1)
        await first.say("hello")
        await first.turn(frames_only=1)
        second = await server.open(conversation_id="talk")
        await second.say("hello")
        failure = await second.error()
        assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
        assert "config.conversation_id: 'talk' has a turn under way" in failure.message
        await first.send(credit=generator_pb2.GenerateCredit(frames=100))
        while (response := await first.read()) and not response.HasField("turn_completed"):
            pass
        assert (await server.speak("hello", conversation_id="talk")).completed


async def test_a_full_queue_refuses_at_once_with_retry_info() -> None:
    async with serving() as server:
        held = []
        for _ in range(4):
            stream = await server.open(initial_credit_frames=1)
            await stream.say("hello")
            held.append(stream)
        await server.settled(lambda: server.service.engine.in_flight == 4)
        stream = await server.open()
        began = time.monotonic()
        await stream.say("hello")
        failure = await stream.error()
        assert time.monotonic() - began < 2
        assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert failure.retry_s is not None
        assert server.sample("rejected_total", reason="queue_full") == 1
        for stream in held:
            stream.call.cancel()
        await server.empty()
        assert (await server.speak("hello")).completed


def test_every_streaming_handler_is_an_async_generator() -> None:
    assert inspect.isasyncgenfunction(GeneratorServicer.Generate)
    for name in ("GetModelInfo", "CountPositions", "GetLoad", "EvictConversation"):
        assert inspect.iscoroutinefunction(getattr(GeneratorServicer, name))
