"""The plugin against a server that does what the tests tell it, through the real framework."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
)
from livekit.agents.metrics import TTSMetrics
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.plugins import csm
from livekit.plugins.csm.transcript import WORD_TIMES

from csm import errors
from csm.v1 import speech_pb2
from integrations.fake_server import FakeServer

QUICK = APIConnectOptions(max_retry=2, retry_interval=0.05, timeout=0.5)


async def spoken(
    tts: csm.TTS, *parts: str, options: APIConnectOptions = QUICK
) -> "tuple[float, list[Any]]":
    """Pushes the parts; gives seconds of audio and the frames."""
    frames = []
    async with tts.stream(conn_options=options) as stream:
        for part in parts:
            stream.push_text(part)
        stream.end_input()
        async for audio in stream:
            frames.append(audio)
    return sum(f.frame.duration for f in frames), frames


def transcript(frames: list[Any]) -> list[Any]:
    return [t for f in frames for t in f.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])]


async def test_a_segment_is_one_turn_with_all_of_its_text(fake: FakeServer, target: str) -> None:
    async with csm.TTS(target, voice="heart") as tts:
        seconds, frames = await spoken(tts, "Hello ", "there. ", "How are you?")
    assert seconds == pytest.approx(0.24)
    assert fake.said == ["Hello there. How are you?"]
    assert fake.calls == 1
    assert fake.configs[0].voice == "heart"
    assert {f.segment_id for f in frames} == {"t1"}
    assert [f.is_final for f in frames].count(True) == 1
    assert frames[-1].is_final


@pytest.mark.parametrize("rate_hz", [8000, 24_000, 48_000])
async def test_audio_has_the_rate_that_was_asked_for(
    fake: FakeServer, target: str, rate_hz: int
) -> None:
    async with csm.TTS(target, sample_rate=rate_hz) as tts:
        seconds, frames = await spoken(tts, "Hello.")
        whole = await tts.synthesize("Hello.").collect()
    assert {f.frame.sample_rate for f in frames} == {rate_hz}
    assert seconds == pytest.approx(0.24)
    assert (whole.sample_rate, whole.num_channels) == (rate_hz, 1)
    assert whole.samples_per_channel == rate_hz * 240 // 1000
    assert np.abs(np.frombuffer(whole.data, np.int16)).max() == 0x4000


async def test_the_first_audio_comes_before_the_last_is_made(fake: FakeServer, target: str) -> None:
    fake.chunks, fake.pause_s = 10, 0.05
    async with csm.TTS(target) as tts, tts.stream(conn_options=QUICK) as stream:
        stream.push_text("Hello.")
        stream.end_input()
        began = time.monotonic()
        arrivals = [time.monotonic() - began async for _ in stream]
    assert arrivals[0] < 0.3 < arrivals[-1]


async def test_a_flush_ends_the_turn_while_the_input_stays_open(
    fake: FakeServer, target: str
) -> None:
    async with csm.TTS(target) as tts, tts.stream(conn_options=QUICK) as stream:
        stream.push_text("Hello.")
        stream.flush()
        frames = [audio async for audio in stream]
    assert frames[-1].is_final
    assert fake.said == ["Hello."]


@pytest.mark.parametrize("parts", [[], ["  ", "\n"]])
async def test_a_blank_text_asks_nothing_of_the_server(
    fake: FakeServer, target: str, parts: list[str]
) -> None:
    async with csm.TTS(target) as tts:
        assert await spoken(tts, *parts) == (0, [])
        async with tts.synthesize(" ") as stream:
            assert [a async for a in stream] == []
    assert fake.calls == 0


async def test_a_text_with_nothing_to_speak_is_a_short_silence_and_no_failure(
    fake: FakeServer, target: str
) -> None:
    fake.unspeakable = True
    async with csm.TTS(target) as tts:
        seconds, _ = await spoken(tts, "...")
        whole = await tts.synthesize("...", conn_options=QUICK).collect()
    assert seconds == pytest.approx(0.08)
    assert whole.duration == pytest.approx(0.08)
    assert not np.frombuffer(whole.data, np.int16).any()
    assert fake.calls == 2


REFUSALS = [
    (errors.invalid("voice", "'x' is not known"), APIStatusError, 400, False),
    (errors.NotFound("voice", "x"), APIStatusError, 404, False),
    (errors.FailedPrecondition("in use"), APIStatusError, 409, False),
    (errors.QueueFull("no slot is free", 0.1), APIStatusError, 429, True),
    (errors.Internal("id 7"), APIStatusError, 500, True),
    (errors.Unavailable("draining", 0.1), APIConnectionError, None, True),
    (errors.DeadlineExceeded("too late"), APITimeoutError, None, True),
]


@pytest.mark.parametrize(("refusal", "kind", "status", "again"), REFUSALS)
@pytest.mark.parametrize("whole", [False, True])
async def test_a_refusal_comes_as_the_framework_s_own_error_and_is_retried_where_that_helps(
    fake: FakeServer,
    target: str,
    refusal: errors.ServiceError,
    kind: type[APIError],
    status: int | None,
    again: bool,
    whole: bool,
) -> None:
    fake.refusals = [refusal] * 3
    reported: list[Any] = []
    async with csm.TTS(target) as tts:
        tts.on("error", reported.append)
        with pytest.raises(kind) as raised:
            await (
                tts.synthesize("Hello.", conn_options=QUICK).collect()
                if whole
                else spoken(tts, "Hello.")
            )
    assert type(raised.value) is kind
    assert getattr(raised.value, "status_code", None) == status
    assert fake.calls == (3 if again else 1)
    assert [one.recoverable for one in reported] == [True] * (fake.calls - 1) + [False]


async def test_a_refused_segment_is_said_again_from_its_beginning(
    fake: FakeServer, target: str
) -> None:
    fake.refusals = [errors.QueueFull("no slot is free", 0.1)]
    async with csm.TTS(target) as tts:
        seconds, _ = await spoken(tts, "Hello ", "there.")
    assert seconds == pytest.approx(0.24)
    assert fake.said == ["Hello there."]
    assert fake.calls == 2


@pytest.mark.parametrize("whole", [False, True])
async def test_nothing_is_said_again_once_audio_was_heard(
    fake: FakeServer, target: str, whole: bool
) -> None:
    fake.fail_after, fake.pause_s = 2, 0.05
    heard: list[float] = []

    async def listen(stream: Any) -> None:
        async for audio in stream:
            heard.append(audio.frame.duration)

    async with csm.TTS(target) as tts:
        stream: Any = (
            tts.synthesize("Hello.", conn_options=QUICK)
            if whole
            else tts.stream(conn_options=QUICK)
        )
        if not whole:
            stream.push_text("Hello.")
            stream.end_input()
        with pytest.raises(APIConnectionError):
            await listen(stream)
        await stream.aclose()
    assert 0 < sum(heard) <= 0.16
    assert fake.calls == 1


async def test_a_turn_that_failed_in_band_raises_what_its_terminal_says(
    fake: FakeServer, target: str
) -> None:
    fake.terminal_error = errors.QueueFull("no slot is free", 0.1)
    options = APIConnectOptions(max_retry=0, timeout=0.5)
    async with csm.TTS(target) as tts:
        with pytest.raises(APIStatusError) as raised:
            await spoken(tts, "Hello.", options=options)
    assert raised.value.status_code == 429
    assert raised.value.body == {"code": "RESOURCE_EXHAUSTED", "retry_after_s": 0.1}


@pytest.mark.parametrize("kind", ["deaf", "silent"])
async def test_a_server_that_does_not_answer_is_a_timeout_after_the_time_that_was_given(
    fake: FakeServer, target: str, kind: str
) -> None:
    setattr(fake, kind, True)
    options = APIConnectOptions(max_retry=0, timeout=0.3)
    async with csm.TTS(target) as tts:
        began = time.monotonic()
        with pytest.raises(APITimeoutError):
            await spoken(tts, "Hello.", options=options)
        assert 0.3 <= time.monotonic() - began < 1.0
        if kind == "silent":
            began = time.monotonic()
            with pytest.raises(APITimeoutError):
                await tts.synthesize("Hello.", conn_options=options).collect()
            assert 0.3 <= time.monotonic() - began < 1.0


async def test_waiting_for_the_caller_s_text_is_no_timeout(fake: FakeServer, target: str) -> None:
    options = APIConnectOptions(max_retry=0, timeout=0.2)
    async with csm.TTS(target) as tts, tts.stream(conn_options=options) as stream:
        stream.push_text("Hello ")
        await asyncio.sleep(0.5)
        stream.push_text("there.")
        stream.end_input()
        assert [a async for a in stream]
    assert fake.said == ["Hello there."]


async def test_a_server_that_is_not_there_is_a_connection_error() -> None:
    options = APIConnectOptions(max_retry=0, timeout=5)
    async with csm.TTS("127.0.0.1:1") as tts:
        with pytest.raises(APIConnectionError):
            await spoken(tts, "Hello.", options=options)


async def test_closing_a_stream_ends_the_turn_at_the_server(fake: FakeServer, target: str) -> None:
    fake.chunks, fake.pause_s = 1000, 0.02
    async with csm.TTS(target) as tts:
        stream = tts.stream(conn_options=QUICK)
        stream.push_text("A long story.")
        stream.end_input()
        await anext(stream)
        await stream.aclose()
        for _ in range(100):
            if fake.ended_calls:
                break
            await asyncio.sleep(0.02)
    assert fake.ended_calls == 1


@pytest.mark.parametrize("whole", [False, True])
async def test_metrics_tell_the_time_to_the_first_audio_and_what_was_used(
    fake: FakeServer, target: str, whole: bool
) -> None:
    fake.pause_s = 0.1
    collected: list[TTSMetrics] = []
    async with csm.TTS(target) as tts:
        tts.on("metrics_collected", collected.append)
        if whole:
            await tts.synthesize("Hello.", conn_options=QUICK).collect()
            await asyncio.sleep(0)
        else:
            await spoken(tts, "Hello.")
    (one,) = collected
    assert 0.1 <= one.ttfb < 0.4
    assert one.audio_duration == pytest.approx(0.24)
    assert (one.characters_count, one.input_tokens, one.output_tokens) == (6, 7, 3)
    assert one.metadata is not None
    assert one.metadata.model_provider == "csm"


async def test_the_transcript_is_aligned_by_sentence_where_words_have_no_times(
    fake: FakeServer, target: str
) -> None:
    async with csm.TTS(target, word_times=False) as tts:
        _, frames = await spoken(tts, "Hello there.")
    (whole,) = transcript(frames)
    assert (str(whole), whole.start_time) == ("Hello there.", 0.0)


@pytest.mark.skipif(not WORD_TIMES, reason="this csm cannot ask for word times")
async def test_the_transcript_is_aligned_by_word(fake: FakeServer, target: str) -> None:
    fake.words = [
        speech_pb2.WordTime(first_char=0, end_char=5, start_ms=10, end_ms=90, word="Hello"),
        speech_pb2.WordTime(first_char=6, end_char=11, start_ms=100, end_ms=180, word="there"),
    ]
    async with csm.TTS(target) as tts:
        _, frames = await spoken(tts, "Hello there.")
    told = transcript(frames)
    assert [(str(t), t.start_time) for t in told] == [("Hello", 0.01), (" there", 0.1), (".", 0.24)]
    assert fake.configs[0].word_times


async def test_prewarming_learns_the_model_s_name_and_outside_a_loop_does_nothing(
    fake: FakeServer, target: str
) -> None:
    async with csm.TTS(target) as tts:
        assert tts.model == "csm"
        tts.prewarm()
        for _ in range(100):
            if tts.model != "csm":
                break
            await asyncio.sleep(0.02)
        assert (tts.model, tts.provider) == ("fake", "csm")
    await asyncio.to_thread(csm.TTS(target).prewarm)


async def test_metadata_goes_with_each_call_and_another_voice_speaks_the_next_segment(
    fake: FakeServer, target: str
) -> None:
    async with csm.TTS(target, metadata=[("authorization", "Bearer x")]) as tts:
        await spoken(tts, "Hello.")
        tts.update_options(voice="michael")
        await spoken(tts, "Hello.")
    assert [c.voice for c in fake.configs] == ["", "michael"]
    assert {m["authorization"] for m in fake.metadata} == {"Bearer x"}
