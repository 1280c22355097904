"""All segments of a `TTS` in one conversation, against the fake server."""

import asyncio
from typing import Any

import pytest
from livekit.agents import APIConnectionError, APIConnectOptions
from livekit.agents.voice.io import (
    AudioOutput,
    PlaybackFinishedEvent,
    PlaybackStartedEvent,
)
from livekit.plugins import csm

from csm import errors
from integrations.fake_server import FakeServer

QUICK = APIConnectOptions(max_retry=2, retry_interval=0.05, timeout=1.0)


async def spoken(tts: csm.TTS, text: str, options: APIConnectOptions = QUICK) -> float:
    async with tts.stream(conn_options=options) as stream:
        stream.push_text(text)
        stream.end_input()
        return sum([audio.frame.duration async for audio in stream])


async def until(condition: Any) -> None:
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to be")


class Output(AudioOutput):
    """Takes no audio: the tests say what was played."""

    def __init__(self) -> None:
        super().__init__(label="test", capabilities=None)  # type: ignore[arg-type]

    async def capture_frame(self, frame: Any) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError

    def clear_buffer(self) -> None:
        raise NotImplementedError

    def begins(self) -> None:
        self.emit("playback_started", PlaybackStartedEvent(created_at=0.0))

    def ends(self, position_s: float, *, interrupted: bool) -> None:
        self.emit("playback_finished", PlaybackFinishedEvent(position_s, interrupted))


async def test_segments_are_turns_of_one_call(fake: FakeServer, target: str) -> None:
    async with csm.TTS(target, conversation_id="") as tts:
        assert tts.conversation_id == ""
        for text in ("One.", "Two."):
            assert await spoken(tts, text) == pytest.approx(0.24)
        whole = await tts.synthesize("Three.", conn_options=QUICK).collect()
        assert tts.conversation_id == "fresh"
    # The framework puts 10 ms behind what it collects of a stream.
    assert whole.duration == pytest.approx(0.24, abs=0.011)
    assert fake.said == ["One.", "Two.", "Three."]
    assert fake.calls == 1


async def test_streams_at_once_wait_for_each_other(fake: FakeServer, target: str) -> None:
    fake.pause_s = 0.02
    async with csm.TTS(target, conversation_id="c") as tts:
        heard = await asyncio.gather(spoken(tts, "One."), spoken(tts, "Two."))
    assert heard == [pytest.approx(0.24)] * 2
    assert sorted(fake.said) == ["One.", "Two."]


async def test_what_the_user_said_comes_before_the_next_segment(
    fake: FakeServer, target: str
) -> None:
    async with csm.TTS(target, conversation_id="c") as tts:
        tts.add_heard_text("Where is it?")
        tts.add_heard_text("  ")
        await spoken(tts, "There.")
        await spoken(tts, "And there.")
    assert fake.heard_texts == ["Where is it?"]
    assert fake.said == ["There.", "And there."]


async def test_a_closed_stream_cancels_its_turn_and_the_next_one_speaks_on_the_same_call(
    fake: FakeServer, target: str
) -> None:
    fake.chunks, fake.pause_s = 200, 0.02
    async with csm.TTS(target, conversation_id="c") as tts:
        stream = tts.stream(conn_options=QUICK)
        stream.push_text("A long story.")
        stream.end_input()
        await anext(stream)
        await stream.aclose()
        fake.chunks = 3
        assert await spoken(tts, "Yes?") == pytest.approx(0.24)
    assert fake.cancels == [("t1", None)]
    assert fake.calls == 1


async def test_a_stream_closed_before_its_text_was_whole_leaves_no_text_behind(
    fake: FakeServer, target: str
) -> None:
    async with csm.TTS(target, conversation_id="c") as tts:
        stream = tts.stream(conn_options=QUICK)
        stream.push_text("Half a ")
        await until(lambda: fake.configs)
        await asyncio.sleep(0.05)
        await stream.aclose()
        await spoken(tts, "Whole.")
    assert fake.said == ["Whole."]


async def test_a_call_that_ended_is_opened_anew_with_the_conversation_s_id(
    fake: FakeServer, target: str
) -> None:
    fake.refusals = [errors.Unavailable("draining", 0.1)]
    async with csm.TTS(target, conversation_id="") as tts:
        assert await spoken(tts, "One.") == pytest.approx(0.24)
        fake.fail_after = 1
        with pytest.raises(APIConnectionError):
            await spoken(tts, "Two.")
        fake.fail_after = None
        assert await spoken(tts, "Three.") == pytest.approx(0.24)
    assert [c.conversation_id for c in fake.configs] == ["", "fresh", "fresh"]


async def test_another_voice_goes_on_with_the_conversation(fake: FakeServer, target: str) -> None:
    async with csm.TTS(target, conversation_id="c", voice="heart") as tts:
        await spoken(tts, "One.")
        tts.update_options(voice="michael")
        await spoken(tts, "Two.")
    assert [(c.voice, c.conversation_id) for c in fake.configs] == [
        ("heart", "c"),
        ("michael", "c"),
    ]


async def test_of_an_interrupted_segment_stays_what_was_played(
    fake: FakeServer, target: str
) -> None:
    output = Output()
    async with csm.TTS(target, conversation_id="c") as tts:
        tts.follow_playback(output)
        await spoken(tts, "One.")
        output.begins()
        output.ends(0.24, interrupted=False)
        await spoken(tts, "Two.")
        output.begins()
        output.ends(0.1234, interrupted=True)
        await until(lambda: fake.cancels)
    assert fake.cancels == [("t2", 123)]


async def test_a_segment_that_was_prepared_and_dropped_leaves_no_trace(
    fake: FakeServer, target: str
) -> None:
    output = Output()
    fake.chunks, fake.pause_s = 200, 0.02
    async with csm.TTS(target, conversation_id="c") as tts:
        tts.follow_playback(output)
        stream = tts.stream(conn_options=QUICK)
        stream.push_text("A guess.")
        stream.end_input()
        await anext(stream)
        await stream.aclose()
        fake.chunks = 3
        await spoken(tts, "An answer.")
        output.begins()
        output.ends(0.08, interrupted=True)
        await until(lambda: len(fake.cancels) == 2)
    assert fake.cancels == [("t1", 0), ("t2", 80)]
