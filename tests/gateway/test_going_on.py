"""A backend that fails under a turn: the turn goes on elsewhere, in the same sentence."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from csm import errors
from csm.v1 import common_pb2, speech_pb2
from gateway.speaking import recovery, watch
from tests.gateway.calls import Conversation, Heard, synthesize, turns_of
from tests.gateway.fakes import (
    CANCELLED,
    EOS,
    ERROR,
    FRAME_SAMPLES,
    MAX_DURATION,
    SHUTDOWN,
    FakeTokenizer,
    Stack,
    stack,
)
from tests.gateway.test_failover import before_two_generators

FAILOVERS = "csm_gateway_failovers_total"
RETRIES = "csm_gateway_upstream_retries_total"
GONE = errors.Unavailable("going away")
EIGHT_FRAMES = "x" * 39 + "."


def whole(heard: Heard, num_frames: int, failovers: int) -> None:
    """The listener noticed nothing."""
    assert heard.frames == list(range(num_frames))
    assert len(heard.started) == 1
    (completed,) = heard.completed
    assert completed.finish_reason == EOS
    assert completed.usage.failovers == failovers
    assert completed.usage.generated_frames == num_frames
    assert completed.kept_audio_ms == 80 * num_frames


async def test_a_generator_that_fails_in_mid_sentence_is_gone_on_from(running: Stack) -> None:
    running.generator.frame_s = 0.02
    running.generator.fail_before_frame = {6: GONE}
    heard = await synthesize(running, EIGHT_FRAMES, conversation_id="on")
    whole(heard, 8, failovers=1)
    first, second = running.generator.streams
    assert second.texts == first.texts
    (flush,) = second.flushes
    assert flush.begun.num_frames == 6
    assert flush.seed == heard.started[0].seed
    assert running.sample(FAILOVERS, service="generator", code="UNAVAILABLE") == 1
    assert running.sample(RETRIES, service="generator", code="UNAVAILABLE") == 0
    assert await turns_of(running, "on") == [(False, 0, EIGHT_FRAMES, 640)]
    await running.settled()


@pytest.mark.parametrize("seed", [None, 7, (1 << 64) - 2])
async def test_later_sentences_keep_the_seeds_that_they_would_have_had(
    running: Stack, seed: int | None
) -> None:
    running.generator.frame_s = 0.02
    running.generator.counts_on = True
    running.generator.fail_before_frame = {6: GONE}
    text = "The first one. The second one. The third one."
    async with Conversation(running, sampling=common_pb2.Sampling(seed=seed)) as call:
        await call.say(text)
        await call.end()
        await call.until("turn_completed")
        await call.done()
    (heard,) = call.spoken
    whole(heard, 9, failovers=1)
    first, second = running.generator.streams
    assert (
        first.texts == ["The first one.", "The second one.", "The third one."][: len(first.texts)]
    )
    # It broke between the second sentence and the third, or behind it.
    assert [s.text for s in second.context][:1] == ["The first one."]
    assert second.context[0].frames.num_frames == 3
    begins = heard.started[0].seed
    said = {
        text: flush for s in (first, second) for text, flush in zip(s.texts, s.flushes, strict=True)
    }
    if seed is not None:
        assert begins == seed
        later = [f.seed for f in second.flushes]
        assert later[-1] == (seed + 2) % (1 << 64)
    assert not said["The first one."].HasField("seed")


async def test_a_generator_that_dies_between_two_sentences_is_left_for_the_second(
    running: Stack,
) -> None:
    running.generator.counts_on = True
    async with Conversation(running, sampling=common_pb2.Sampling(seed=5)) as call:
        await call.say("The first one. And")
        await call.until("audio", 3)
        await running.generator.down()
        await running.generator.up()
        await call.say(" more of it.")
        await call.end()
        await call.until("turn_completed")
        await call.done()
    (heard,) = call.spoken
    whole(heard, 3 + 3, failovers=1)
    (flush,) = running.generator.streams[-1].flushes
    assert flush.seed == 6
    assert not flush.begun.num_frames


async def test_a_tokenizer_that_fails_in_mid_sentence_is_gone_on_from(
    running: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway")
    running.generator.frame_s = 0.02
    running.tokenizer.fail_decode_at = {6: GONE}
    heard = await synthesize(running, EIGHT_FRAMES)
    whole(heard, 8, failovers=1)
    assert len(running.generator.streams) == 1
    # The second decoder was given all that the first had decoded, and none of it was heard again.
    assert running.tokenizer.decoded_frames == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 7]
    assert running.sample(FAILOVERS, service="tokenizer", code="UNAVAILABLE") == 1
    assert "a turn goes on without its tokenizer: UNAVAILABLE" in caplog.messages
    await running.settled()


@pytest.mark.parametrize("rate", [8000, 11_025, 48_000])
async def test_no_sample_is_lost_or_heard_twice_at_any_rate(running: Stack, rate: int) -> None:
    running.generator.frame_s = 0.01
    running.tokenizer.fail_decode_at = {40: GONE, 43: GONE}
    form = common_pb2.AudioFormat(
        encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE, sample_rate_hz=rate, channels=2
    )
    heard = await synthesize(running, "x" * 249 + ".", format=form)
    assert len(heard.pcm) == 50 * rate * 80 // 1000 * 2 * 4
    at = 0
    for audio in heard.audio:
        assert audio.first_sample == at
        at += len(audio.audio) // 8
    assert heard.completed[0].usage.failovers >= 1


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("lead_ms", [200, 700, 3000])
async def test_frames_that_go_to_the_tokenizer_together_are_heard_once(
    monkeypatch: pytest.MonkeyPatch, lead_ms: int, hangs: bool
) -> None:
    monkeypatch.setattr(watch, "FLOW_SILENCE_S", 0.3)
    async with stack() as running:
        running.generator.frame_s = 0.01
        if hangs:
            running.tokenizer.hang_decode_at = {17}
        else:
            running.tokenizer.fail_decode_at = {17: GONE}
        heard = await synthesize(running, "x" * 149 + ".", max_lead_ms=lead_ms)
        assert len(heard.started) == len(heard.completed) == 1
        (completed,) = heard.completed
        assert completed.finish_reason == EOS
        assert completed.usage.failovers == 1
        assert completed.kept_audio_ms == 80 * 30
        samples = np.frombuffer(heard.pcm, "<i2").reshape(30, FRAME_SAMPLES)
        # Each frame's sound once, in order, whatever chunks it came in.
        assert samples[:, 0].tolist() == list(range(30))
        assert samples[:, -1].tolist() == list(range(30))
        at = 0
        for audio in heard.audio:
            assert audio.first_sample == at
            at += len(audio.audio) // 2
        await running.settled()


async def test_both_may_fail_in_one_turn(running: Stack) -> None:
    running.generator.frame_s = 0.02
    running.generator.fail_before_frame = {5: GONE}
    running.tokenizer.fail_decode_at = {3: GONE, 6: GONE}
    whole(await synthesize(running, EIGHT_FRAMES), 8, failovers=3)
    await running.settled()


async def test_a_generator_that_ends_the_sentence_as_it_shuts_down_is_gone_on_from(
    running: Stack,
) -> None:
    async with before_two_generators(running) as (other, second):
        for generator in (running.generator, second):
            generator.frame_s = 0.02
        async with Conversation(other, conversation_id="moves") as call:
            await call.say(EIGHT_FRAMES)
            await call.end()
            await call.until("audio", 2)
            first = next(g for g in (running.generator, second) if g.streams)
            assert first.host is not None
            first.drains_s = 0.5
            stopping = asyncio.create_task(first.host.stop(finish_s=2))
            await asyncio.sleep(0.02)
            first.ends_with = SHUTDOWN
            await call.until("turn_completed")
            await call.done()
        whole(call.spoken[0], 8, failovers=1)
        stays = second if first is running.generator else running.generator
        assert len(stays.streams) == 1
        await stopping
        first.host = None


async def test_a_generator_that_hangs_in_mid_sentence_is_left(running: Stack) -> None:
    async with before_two_generators(running) as (other, second):
        for generator in (running.generator, second):
            generator.frame_s = 0.02
        async with Conversation(other, conversation_id="hangs") as call:
            await call.say(EIGHT_FRAMES)
            await call.end()
            await call.until("audio", 2)
            first = next(g for g in (running.generator, second) if g.streams)
            first.mute.clear()
            first.load.heartbeat_age_ms = 60_000
            began = time.monotonic()
            await call.until("turn_completed")
            assert time.monotonic() - began < 3
            await call.done()
        whole(call.spoken[0], 8, failovers=1)


async def test_a_generator_that_makes_no_frame_is_left_though_another_answers_for_it(
    running: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FLOW_SILENCE_S", 0.9)
    running.generator.frame_s = 0.02
    running.generator.load.running = running.generator.load.slots
    running.generator.silent_before_frame = {4}
    began = time.monotonic()
    heard = await synthesize(running, EIGHT_FRAMES)
    assert time.monotonic() - began < 4
    whole(heard, 8, failovers=1)


@pytest.mark.parametrize("between", [True, False])
async def test_a_tokenizer_that_hangs_in_mid_sentence_is_left(
    monkeypatch: pytest.MonkeyPatch, between: bool
) -> None:
    monkeypatch.setattr(watch, "FLOW_SILENCE_S", 0.4 if between else 60)
    async with stack(decode_timeout_s=60 if between else 0.4) as running:
        running.generator.frame_s = 0.02
        running.tokenizer.hang_decode_at = {5}
        began = time.monotonic()
        heard = await synthesize(running, EIGHT_FRAMES)
        assert time.monotonic() - began < 3
        whole(heard, 8, failovers=1)
        await running.settled()


async def test_a_turn_waits_for_a_full_tokenizer_with_the_frames_that_it_has(
    running: Stack,
) -> None:
    running.generator.frame_s = 0.02
    running.tokenizer.full = 4
    heard = await synthesize(running, EIGHT_FRAMES)
    whole(heard, 8, failovers=1)
    # Nothing was generated twice.
    assert len(running.generator.streams) == 1


@pytest.mark.parametrize("thinks", [True, False], ids=["the caller thinks", "at once"])
@pytest.mark.parametrize("again", [True, False], ids=["all hang", "one hangs"])
async def test_a_turn_ends_though_the_tokenizer_hangs_behind_its_last_sound(
    monkeypatch: pytest.MonkeyPatch, thinks: bool, again: bool
) -> None:
    monkeypatch.setattr(watch, "FLOW_SILENCE_S", 0.4)
    async with stack(decode_timeout_s=0.4) as running:
        running.tokenizer.hang_at_end = 100 if again else 1
        async with Conversation(running) as call:
            await call.say(EIGHT_FRAMES)
            await call.send(flush=speech_pb2.ConverseFlush())
            await call.until("audio")
            if thinks:
                await asyncio.sleep(0.8)
            began = time.monotonic()
            await call.end()
            completed = await call.until("turn_completed")
            await call.done()
        assert time.monotonic() - began < 6
        assert completed.finish_reason == EOS
        assert call.spoken[0].frames == list(range(8))
        await running.settled()


async def test_a_tokenizer_that_hangs_is_left_though_every_second_call_comes_to_it() -> None:
    other = FakeTokenizer()
    await other.up()
    async with stack(decode_timeout_s=0.4) as first:
        both = f"ipv4:127.0.0.1:{first.tokenizer.port},127.0.0.1:{other.port}"
        async with stack(tokenizer_target=both, decode_timeout_s=0.4) as two:
            two.generator.frame_s = 0.02
            async with Conversation(two) as call:
                await call.say("x" * 99 + ".")
                await call.end()
                await call.until("audio", 3)
                hangs = next(t for t in (first.tokenizer, other) if t.decoding)
                hangs.hang_decode_at = set(range(100))
                hangs.hangs_again = True
                await call.until("turn_completed")
                await call.done()
            whole(call.spoken[0], 20, failovers=1)
    await other.down()


async def test_a_generator_of_a_version_that_knows_no_begun_frames_repeats_no_word(
    running: Stack,
) -> None:
    running.generator.frame_s = 0.02
    running.generator.knows_begun = False
    running.generator.fail_before_frame = {6: GONE}
    heard = await synthesize(running, EIGHT_FRAMES)
    assert heard.frames == list(range(8))
    assert heard.completed[0].finish_reason == EOS


async def test_a_sentence_that_lost_nothing_but_its_terminal_is_not_made_longer(
    running: Stack,
) -> None:
    running.generator.frame_s = 0.02
    running.generator.fail_before_end = [GONE]
    heard = await synthesize(running, EIGHT_FRAMES, max_audio_ms=480)
    assert heard.frames == list(range(6))
    assert heard.completed[0].finish_reason == MAX_DURATION
    assert sum(len(s.flushes) for s in running.generator.streams) == 1


async def test_a_turn_that_nobody_can_go_on_with_is_told_by_its_terminal(running: Stack) -> None:
    running.generator.frame_s = 0.02
    async with Conversation(running, conversation_id="half") as call:
        await call.say("x" * 99 + ".")
        await call.end()
        await call.until("audio", 3)
        began = time.monotonic()
        await running.generator.down()
        completed = await call.until("turn_completed")
        assert time.monotonic() - began < 5
        assert completed.finish_reason == ERROR
        assert completed.usage.failovers == 0
        await call.done()
    assert [t[3] for t in await turns_of(running, "half")] == [completed.kept_audio_ms]
    assert completed.kept_audio_ms == 80 * len(call.spoken[0].frames)
    assert running.sample(FAILOVERS, service="generator", code="UNAVAILABLE") == 3


async def test_a_turn_moves_so_often_and_no_more(
    running: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MAX_FAILOVERS", 4)
    running.generator.frame_s = 0.01
    running.generator.fails_every = 3
    heard = await synthesize(running, "x" * 199 + ".")
    assert heard.completed[0].finish_reason == ERROR
    assert heard.completed[0].usage.failovers == 4
    assert heard.frames == list(range(15))


async def test_a_cancel_does_not_wait_for_a_backend(running: Stack) -> None:
    async with stack(failover_s=20) as running:
        running.generator.frame_s = 0.02
        async with Conversation(running) as call:
            await call.say("x" * 99 + ".")
            await call.end()
            await call.until("audio", 3)
            await running.generator.down()
            await asyncio.sleep(0.3)
            began = time.monotonic()
            await call.cancel()
            assert (await call.until("turn_completed")).finish_reason == CANCELLED
            assert time.monotonic() - began < 5


async def test_a_full_generator_is_waited_for_by_a_turn_that_comes_from_elsewhere(
    running: Stack,
) -> None:
    running.generator.frame_s = 0.02
    running.generator.fail_before_frame = {6: GONE}
    running.generator.refuse_later = [errors.QueueFull("16 turns wait")] * 2
    heard = await synthesize(running, EIGHT_FRAMES)
    whole(heard, 8, failovers=1)


async def test_what_the_generator_may_be_ahead_stays_the_same_over_a_move(running: Stack) -> None:
    running.generator.fail_before_frame = {5: GONE}
    running.generator.frame_s = 0.005
    request: Any = {"max_lead_ms": 640}
    heard = await synthesize(running, "x" * 99 + ".", **request)
    whole(heard, 20, failovers=1)
    first, second = running.generator.streams
    assert first.config.initial_credit_frames == 8
    assert 1 <= second.config.initial_credit_frames <= 8


async def test_a_tokenizer_elsewhere_takes_over(running: Stack) -> None:
    other = FakeTokenizer()
    await other.up()
    try:
        both = f"ipv4:127.0.0.1:{running.tokenizer.port},127.0.0.1:{other.port}"
        async with stack(tokenizer_target=both) as two:
            # Its own tokenizer is no target of this gateway; the two above are.
            two.generator.frame_s = 0.02
            async with Conversation(two) as call:
                await call.say("x" * 99 + ".")
                await call.end()
                await call.until("audio", 3)
                decoding = next(t for t in (running.tokenizer, other) if t.decoding)
                await decoding.down()
                await call.until("turn_completed")
                await call.done()
            whole(call.spoken[0], 20, failovers=1)
    finally:
        await other.down()
