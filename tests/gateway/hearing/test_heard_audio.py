"""Heard audio: when it holds a stream of the tokenizer, and for how long."""

import asyncio
import time

import pytest

from csm.v1 import common_pb2
from gateway.backends.failure import BackendFailure
from gateway.commands import StreamFormat
from gateway.hearing.encoder import AudioEncoder
from gateway.hearing.heard_audio import MIN_WAITING_BYTES
from tests.gateway.calls import Conversation
from tests.gateway.fakes import ERROR, FRAME_SAMPLES, RATE, Stack, stack

FORM = StreamFormat(common_pb2.AUDIO_ENCODING_PCM_S16LE, RATE, 1)
FRAME = bytes(2 * FRAME_SAMPLES)


async def test_a_call_that_says_nothing_holds_no_stream_of_the_tokenizer(running: Stack) -> None:
    async with Conversation(running) as call:
        await call.until("started")
        await call.say("Hello.")
        await call.end()
        await call.until("turn_completed")
        assert running.tokenizer.encoding == 0
        await call.hear(1)
        while not running.tokenizer.encoding:
            await asyncio.sleep(0.01)
        await call.end("Hello.")
        await call.until("turn_completed")
        while running.tokenizer.encoding:
            await asyncio.sleep(0.01)
        await call.done()


async def test_a_tokenizer_that_owes_frames_for_too_long_has_failed() -> None:
    async with stack(heard_timeout_s=0.4) as running:
        running.tokenizer.hearing.clear()
        audio = running.service._speech.encoder.hear(FORM, 20.0)
        began = time.monotonic()
        for _ in range(10):
            audio.feed(FRAME)
        with pytest.raises(BackendFailure, match=r"the tokenizer gave no frames for 0\.\d s"):
            await audio.frames()
        assert time.monotonic() - began < 2
        running.tokenizer.hearing.set()
        await running.settled()


async def test_a_tokenizer_that_does_not_end_its_call_has_failed() -> None:
    async with stack(heard_timeout_s=0.4) as running:
        running.tokenizer.hearing.clear()
        async with Conversation(running, conversation_id="c") as call:
            await call.hear(1)
            await call.end("Hello.")
            assert (await call.until("turn_completed")).finish_reason == ERROR
            running.tokenizer.hearing.set()
            await call.done()
        assert [t.text for t in (await running.service.store.read("c")).turns] == ["Hello."]


async def test_a_speaker_who_pauses_is_waited_for() -> None:
    async with stack(heard_timeout_s=0.2) as running:
        audio = running.service._speech.encoder.hear(FORM, 20.0)
        for _ in range(3):
            audio.feed(FRAME)
            await asyncio.sleep(0.4)
        audio.close()
        assert (await audio.frames())[1] == 3


async def test_when_all_calls_together_are_far_behind_each_is_held_back_sooner() -> None:
    async with stack(max_heard_waiting_bytes=1 << 20, max_heard_audio_ms=3_600_000) as running:
        running.tokenizer.hearing.clear()
        encoder: AudioEncoder = running.service._speech.encoder
        first, second = encoder.hear(FORM, 20.0), encoder.hear(FORM, 20.0)
        chunk = bytes(64 << 10)

        async def feed() -> None:
            for _ in range(300):
                first.feed(chunk)
                await first.room()

        feeding = asyncio.create_task(feed())
        await asyncio.sleep(0.3)
        assert not feeding.done()
        assert first.waiting_bytes <= (1 << 20) + len(chunk)
        # Another call still has its small share.
        second.feed(bytes(MIN_WAITING_BYTES))
        await asyncio.wait_for(second.room(), 5)
        running.tokenizer.hearing.set()
        await asyncio.wait_for(feeding, 20)
        await first.abort()
        await second.abort()
