"""The service in a pipeline of the real package, against a server that does what the tests say."""

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any

import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    TTSUpdateSettingsFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData, TTSUsageMetricsData
from pipecat.pipeline.worker import PipelineParams
from pipecat.services.tts_service import TextAggregationMode
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.utils.errors import ErrorCategory

from csm import AudioChunk, AudioFormat, WordTime, errors
from csm.v1 import speech_pb2
from integrations.fake_server import FakeServer
from pipecat_csm import CsmTTSService
from pipecat_csm.spoken_turn import WORD_TIMES, SpokenContext, SpokenTurn

PARAMS = PipelineParams(enable_metrics=True, enable_usage_metrics=True)
Frames = Sequence[Frame]


def reply(*parts: str) -> list[Frame]:
    """What a language model sends."""
    texts = [LLMTextFrame(part) for part in parts]
    return [LLMFullResponseStartFrame(), *texts, LLMFullResponseEndFrame()]


async def run(service: CsmTTSService, *frames: Frame, wait_s: float = 0.3) -> tuple[Frames, Frames]:
    """Downstream and upstream frames."""
    return await run_test(
        service,
        frames_to_send=[*frames, SleepFrame(sleep=wait_s)],
        pipeline_params=PARAMS,
        start_timeout=10.0,
    )


def of(kind: type[Frame], frames: Frames) -> list[Any]:
    return [frame for frame in frames if isinstance(frame, kind)]


def seconds(frames: Frames) -> float:
    return sum(f.num_frames / f.sample_rate for f in of(TTSAudioRawFrame, frames))


async def test_a_reply_is_one_turn_of_one_context(fake: FakeServer, target: str) -> None:
    down, up = await run(CsmTTSService(target=target), *reply("Hello ", "there. How ", "are you?"))
    assert fake.said == ["Hello there. How are you? "]
    assert fake.calls == 1
    assert of(ErrorFrame, up) == []
    assert seconds(down) == pytest.approx(0.24)
    kinds = [type(f) for f in down if isinstance(f, TTSStartedFrame | TTSStoppedFrame)]
    assert kinds == [TTSStartedFrame, TTSStoppedFrame]
    names = {f.context_id for f in (*of(TTSAudioRawFrame, down), *of(TTSStartedFrame, down))}
    assert len(names) == 1
    # Each sentence that the pipeline put together is spoken without waiting for the next.
    assert fake.flushes == 2


async def test_tokens_go_to_the_server_as_they_come(fake: FakeServer, target: str) -> None:
    service = CsmTTSService(target=target, text_aggregation_mode=TextAggregationMode.TOKEN)
    down, _ = await run(service, *reply("Hello ", "there. ", "How are you?"))
    assert fake.said == ["Hello there. How are you?"]
    assert fake.flushes == 0
    assert seconds(down) == pytest.approx(0.24)


@pytest.mark.parametrize("rate_hz", [8000, 16_000])
async def test_audio_has_the_rate_of_the_pipeline(
    fake: FakeServer, target: str, rate_hz: int
) -> None:
    down, _ = await run(CsmTTSService(target=target, sample_rate=rate_hz), TTSSpeakFrame("Hello."))
    frames = of(TTSAudioRawFrame, down)
    assert {(f.sample_rate, f.num_channels) for f in frames} == {(rate_hz, 1)}
    assert seconds(frames) == pytest.approx(0.24)
    assert frames[0].audio[:4] == b"\x00\x40\x00\xc0"


async def test_words_of_a_sentence_come_with_its_beginning(fake: FakeServer, target: str) -> None:
    service = CsmTTSService(target=target, word_times=False)
    down, _ = await run(service, TTSSpeakFrame("Hello there."))
    words = of(TTSTextFrame, down)
    assert " ".join(f.text for f in words) == "Hello there."
    first_audio = next(i for i, f in enumerate(down) if isinstance(f, TTSAudioRawFrame))
    assert all(f.pts is not None for f in words)
    assert down.index(words[0]) > 0
    assert down.index(words[-1]) < first_audio + len(words) + 1


@pytest.mark.skipif(not WORD_TIMES, reason="this csm cannot ask for word times")
async def test_words_come_with_their_own_times(fake: FakeServer, target: str) -> None:
    fake.words = [
        speech_pb2.WordTime(first_char=0, end_char=5, start_ms=10, end_ms=90, word="Hello"),
        speech_pb2.WordTime(first_char=6, end_char=11, start_ms=160, end_ms=230, word="there"),
    ]
    down, _ = await run(CsmTTSService(target=target), TTSSpeakFrame("Hello there."))
    first, second = of(TTSTextFrame, down)[:2]
    assert second.pts - first.pts == 150_000_000
    assert (first.text, second.text) == ("Hello", "there.")
    assert fake.configs[0].word_times


@pytest.mark.parametrize(
    ("text", "words", "written"),
    [
        (
            'He said: "A well-known (old) one."',
            None,
            ["He", "said:", '"A', "well-known", "(old)", 'one."'],
        ),
        (
            "He is [voice: michael] here, yes",
            ("He", "is", "here", "yes"),
            ["He", "is", "here,", "yes"],
        ),
        ("你好。再见。", tuple("你好再见"), ["你", "好。", "再", "见。"]),
    ],
)
def test_words_are_given_with_the_marks_around_them(
    text: str, words: tuple[str, ...] | None, written: list[str]
) -> None:
    turn = SpokenTurn(SpokenContext("one"), text=text)
    timed, end = [], 0
    for word in words or re.findall(r"\w+", text):
        first = text.index(word, end)
        end = first + len(word)
        timed.append(WordTime(first, end, 10 * first, 10 * end, word))
    form = AudioFormat("s16", 24_000)
    chunk = AudioChunk("t1", bytes(480), form, 0, len(text), tuple(timed))
    assert [word for word, _ in turn.words(chunk, by_word=True)] == written


async def test_metrics_tell_the_time_to_the_first_audio_and_the_characters(
    fake: FakeServer, target: str
) -> None:
    fake.pause_s = 0.15
    down, _ = await run(CsmTTSService(target=target), TTSSpeakFrame("Hello."), wait_s=0.8)
    data = [d for f in of(MetricsFrame, down) for d in f.data]
    ttfb = [d.value for d in data if isinstance(d, TTFBMetricsData) and d.value]
    assert len(ttfb) == 1
    assert 0.15 <= ttfb[0] < 0.6
    assert [d.value for d in data if isinstance(d, TTSUsageMetricsData)] == [7]


async def test_an_interruption_cancels_the_turn_with_what_was_heard(
    fake: FakeServer, target: str
) -> None:
    fake.chunks, fake.pause_s = 100, 0.01
    service = CsmTTSService(target=target)
    down, _ = await run(
        service,
        *reply("A long story."),
        SleepFrame(sleep=0.5),
        InterruptionFrame(),
        SleepFrame(sleep=0.2),
        *reply("Yes?"),
        wait_s=1.5,
    )
    ((turn_id, heard_ms),) = fake.cancels
    assert turn_id == ""
    assert heard_ms is not None
    assert 200 <= heard_ms <= 650
    assert fake.said == ["A long story. ", "Yes? "]
    assert fake.calls == 1
    after = down[next(i for i, f in enumerate(down) if isinstance(f, InterruptionFrame)) :]
    assert len({f.context_id for f in of(TTSAudioRawFrame, after)}) == 1
    assert len(of(TTSStoppedFrame, after)) == 1


async def test_a_turn_that_was_sent_whole_and_is_still_playing_is_cut_too(
    fake: FakeServer, target: str
) -> None:
    fake.chunks = 50
    service = CsmTTSService(target=target)
    await run(
        service,
        *reply("A long story."),
        SleepFrame(sleep=0.6),
        InterruptionFrame(),
    )
    ((turn_id, heard_ms),) = fake.cancels
    assert turn_id == "t1"
    assert heard_ms is not None
    assert 300 <= heard_ms <= 900


async def test_what_has_been_played_is_not_cut(fake: FakeServer, target: str) -> None:
    fake.chunks = 2
    await run(
        CsmTTSService(target=target), *reply("Hi."), SleepFrame(sleep=0.7), InterruptionFrame()
    )
    assert fake.cancels == []


async def test_speech_that_must_not_be_interrupted_is_not(fake: FakeServer, target: str) -> None:
    fake.chunks, fake.pause_s = 20, 0.02
    notice = TTSSpeakFrame("This call is recorded.")
    notice.interruptible = False
    down, _ = await run(
        CsmTTSService(target=target),
        notice,
        SleepFrame(sleep=0.2),
        InterruptionFrame(),
        wait_s=1.0,
    )
    assert fake.cancels == []
    assert seconds(down) == pytest.approx(1.6)


async def test_a_speak_frame_in_the_middle_of_a_reply_is_a_turn_of_its_own(
    fake: FakeServer, target: str
) -> None:
    down, up = await run(
        CsmTTSService(target=target),
        LLMFullResponseStartFrame(),
        LLMTextFrame("One. "),
        LLMTextFrame("Two "),
        SleepFrame(sleep=0.1),
        TTSSpeakFrame("Wait."),
        LLMTextFrame("goes on."),
        LLMFullResponseEndFrame(),
        wait_s=0.6,
    )
    assert fake.said == ["One. ", "Wait. ", "Two goes on. "]
    assert len(of(TTSStoppedFrame, down)) == 2
    assert seconds(down) == pytest.approx(0.72)
    assert of(ErrorFrame, up) == []


async def test_a_refused_turn_is_said_again_and_nobody_hears_of_it(
    fake: FakeServer, target: str
) -> None:
    fake.refusals = [errors.Unavailable("draining", 0.05)]
    down, up = await run(CsmTTSService(target=target), *reply("Hello there."), wait_s=1.0)
    assert fake.said == ["Hello there. "]
    assert fake.calls == 2
    assert [c.conversation_id for c in fake.configs] == ["", "fresh"]
    assert seconds(down) == pytest.approx(0.24)
    assert of(ErrorFrame, up) == []


async def test_a_full_queue_in_the_terminal_is_tried_again(fake: FakeServer, target: str) -> None:
    fake.terminal_error = errors.QueueFull("no slot is free", 0.1)
    down, up = await run(CsmTTSService(target=target), *reply("Hello there."), wait_s=1.0)
    assert fake.said == ["Hello there. "] * 2
    assert of(ErrorFrame, up) == []
    assert seconds(down) == pytest.approx(0.24)


async def test_nothing_is_said_again_once_audio_was_heard(fake: FakeServer, target: str) -> None:
    fake.fail_after = 2
    down, up = await run(CsmTTSService(target=target), *reply("Hello there."), wait_s=0.6)
    assert fake.said == ["Hello there. "]
    assert seconds(down) == pytest.approx(0.16)
    (error,) = of(ErrorFrame, up)
    assert error.category is ErrorCategory.CONNECTIVITY
    assert len(of(TTSStoppedFrame, down)) == 1


@pytest.mark.parametrize(
    ("refusal", "category", "usable", "wait_s"),
    [
        (errors.invalid("text", "too long"), ErrorCategory.APPLICATION, True, 0.5),
        (errors.invalid("voice", "'x' is not known"), ErrorCategory.INVALID_REQUEST, False, 0.5),
        (errors.QueueFull("full", 0.2), ErrorCategory.RATE_LIMIT, True, 1.5),
        (errors.Internal("id 7"), ErrorCategory.SERVER, True, 0.5),
    ],
)
async def test_a_failure_is_an_error_frame_that_says_whether_the_service_can_go_on(
    fake: FakeServer,
    target: str,
    refusal: errors.ServiceError,
    category: ErrorCategory,
    usable: bool,
    wait_s: float,
) -> None:
    fake.refusals = [refusal] * 3
    service = CsmTTSService(target=target)
    told: list[tuple[ErrorCategory | None, bool]] = []

    @service.event_handler("on_error")
    async def on_error(service: CsmTTSService, frame: ErrorFrame) -> None:
        told.append((frame.category, service.is_usable))

    await run(
        service, *reply("Hello there."), wait_s=5.0 if category is ErrorCategory.RATE_LIMIT else 0.5
    )
    assert told[0] == (category, usable)


async def test_a_server_that_is_not_there_is_said_at_the_start(fake: FakeServer) -> None:
    service = CsmTTSService(target="127.0.0.1:1")
    _, up = await run(service)
    assert [e.category for e in of(ErrorFrame, up)] == [ErrorCategory.CONNECTIVITY]


async def test_a_text_with_nothing_to_speak_is_a_short_silence_and_no_failure(
    fake: FakeServer, target: str
) -> None:
    fake.unspeakable = True
    down, up = await run(CsmTTSService(target=target), TTSSpeakFrame("..."))
    assert seconds(down) == pytest.approx(0.08)
    assert of(ErrorFrame, up) == []


async def test_settings_hold_from_the_next_turn_on_in_the_same_conversation(
    fake: FakeServer, target: str
) -> None:
    service = CsmTTSService(
        target=target, conversation_id="c", settings=CsmTTSService.Settings(voice="heart")
    )
    service.add_heard_text("Who is there?")
    await run(
        service,
        TTSSpeakFrame("One."),
        SleepFrame(sleep=0.3),
        TTSUpdateSettingsFrame(delta=CsmTTSService.Settings(voice="michael", language="de")),
        TTSSpeakFrame("Two."),
        wait_s=0.5,
    )
    assert [(c.voice, c.conversation_id) for c in fake.configs] == [
        ("heart", "c"),
        ("michael", "c"),
    ]
    assert fake.configs[1].text_options.language == "de"
    assert fake.heard_texts == ["Who is there?"]


async def test_a_pipeline_that_ends_leaves_no_call_open(fake: FakeServer, target: str) -> None:
    began = time.monotonic()
    await run(CsmTTSService(target=target), BotStartedSpeakingFrame(), TTSSpeakFrame("Hello."))
    for _ in range(100):
        if fake.ended_calls == fake.calls:
            break
        await asyncio.sleep(0.02)
    assert fake.ended_calls == fake.calls == 1
    assert time.monotonic() - began < 10
