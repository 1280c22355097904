"""The plugin, the framework's session and a csm server with the voice that ships."""

import asyncio
import time
from typing import Any

import numpy as np
from livekit.agents import Agent, AgentSession, APIConnectOptions
from livekit.agents.voice.io import AudioOutput, AudioOutputCapabilities
from livekit.plugins import csm

from csm import AsyncClient
from integrations.documented import run_example

OPTIONS = APIConnectOptions(max_retry=0, timeout=20)
STORY = "Let me tell you a story. It is a long one. It begins in a small town by the sea. "


def samples(frame: Any) -> np.ndarray:
    return np.frombuffer(frame.data, np.int16)


async def test_speech_comes_while_the_text_is_still_coming(real_target: str) -> None:
    async with csm.TTS(real_target, voice="heart") as tts:
        tts.prewarm()
        async with tts.stream(conn_options=OPTIONS) as stream:
            stream.push_text("Hello there. ")
            stream.push_text("How are ")
            first = await asyncio.wait_for(anext(stream), 20)
            stream.push_text("you?")
            stream.end_input()
            rest = [audio async for audio in stream]
        assert tts.model == "pico"
    sound = np.concatenate([samples(a.frame) for a in [first, *rest]])
    assert 1.0 < len(sound) / 24_000 < 10
    assert np.abs(sound).max() > 1000


async def test_the_documented_example_speaks(real_target: str) -> None:
    printed = await run_example("LiveKit Agents", "127.0.0.1:50050", real_target)
    seconds = float(printed.removesuffix(" s of speech\n"))
    assert 1.0 < seconds < 10


async def test_a_whole_text_is_spoken_at_a_telephone_s_rate(real_target: str) -> None:
    async with csm.TTS(real_target, sample_rate=8000) as tts:
        frame = await tts.synthesize("Hello there.", conn_options=OPTIONS).collect()
    assert frame.sample_rate == 8000
    assert 0.4 < frame.duration < 5
    assert np.abs(samples(frame)).max() > 1000


class Loudspeaker(AudioOutput):
    """Plays in real time, and stops when it is told to."""

    def __init__(self) -> None:
        super().__init__(
            label="loudspeaker",
            capabilities=AudioOutputCapabilities(pause=False),
            sample_rate=24_000,
        )
        self.captured_s = 0.0
        self.began_at: float | None = None
        self.playing = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: Any) -> None:
        await super().capture_frame(frame)
        if self.began_at is None:
            self.began_at = time.monotonic()
            self.on_playback_started(created_at=time.time())
            self.playing.set()
        self.captured_s += frame.duration

    def flush(self) -> None:
        super().flush()
        if self.began_at is not None:
            left_s = max(0.0, self.began_at + self.captured_s - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(left_s, self._end, False)

    def clear_buffer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.began_at is not None:
            self._end(True)

    def _end(self, interrupted: bool) -> None:
        assert self.began_at is not None
        position_s = min(self.captured_s, time.monotonic() - self.began_at)
        self.captured_s, self.began_at = 0.0, None
        self.on_playback_finished(playback_position=position_s, interrupted=interrupted)


async def test_a_session_that_is_interrupted_remembers_what_was_heard(real_target: str) -> None:
    async with (
        csm.TTS(real_target, voice="heart", conversation_id="") as tts,
        AgentSession(tts=tts) as session,
        AsyncClient(real_target) as client,
    ):
        loudspeaker = Loudspeaker()
        session.output.audio = loudspeaker
        await session.start(Agent(instructions="Tell stories."))
        tts.follow_playback(loudspeaker)
        speech = session.say(STORY)
        await asyncio.wait_for(loudspeaker.playing.wait(), 20)
        await asyncio.sleep(1.0)
        await speech.interrupt()
        await speech.wait_for_playout()
        tts.add_heard_text("Stop, please.")
        await session.say("As you like.").wait_for_playout()
        kept = (await client.get_conversation(tts.conversation_id or "")).turns
    assert [(t.heard, t.text) for t in kept[1:]] == [
        (True, "Stop, please."),
        (False, "As you like."),
    ]
    assert STORY.startswith(kept[0].text)
    assert len(kept[0].text) < len(STORY) / 2
    assert 900 <= kept[0].audio_ms <= 1800
