"""The service in a pipeline, and a csm server with the voice that ships."""

import numpy as np
from pipecat.frames.frames import (
    ErrorFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.tests.utils import SleepFrame, run_test

from csm import AsyncClient
from integrations.documented import run_example
from pipecat_csm import CsmTTSService

STORY = "Let me tell you a story. It is a long one. It begins in a small town by the sea."


async def test_an_interrupted_reply_is_remembered_as_far_as_it_was_heard(real_target: str) -> None:
    service = CsmTTSService(target=real_target, settings=CsmTTSService.Settings(voice="heart"))
    down, up = await run_test(
        service,
        frames_to_send=[
            LLMFullResponseStartFrame(),
            *(LLMTextFrame(word + " ") for word in STORY.split()),
            LLMFullResponseEndFrame(),
            SleepFrame(sleep=1.5),
            InterruptionFrame(),
            LLMFullResponseStartFrame(),
            LLMTextFrame("As you like."),
            LLMFullResponseEndFrame(),
            SleepFrame(sleep=2.0),
        ],
        start_timeout=20.0,
    )
    assert [f for f in up if isinstance(f, ErrorFrame)] == []
    cut_at = next(i for i, f in enumerate(down) if isinstance(f, InterruptionFrame))
    heard = [f for f in down[:cut_at] if isinstance(f, TTSAudioRawFrame)]
    sound = np.frombuffer(b"".join(f.audio for f in heard), np.int16)
    assert np.abs(sound).max() > 1000
    words = " ".join(f.text for f in down[cut_at:] if isinstance(f, TTSTextFrame))
    assert words == "As you like."
    async with AsyncClient(real_target) as client:
        told, answer = (await client.get_conversation(service.conversation_id)).turns
    assert STORY.startswith(told.text.strip())
    assert 0 < len(told.text) < len(STORY) / 2
    assert 500 <= told.audio_ms <= 1800
    assert answer.text.strip() == "As you like."


async def test_the_documented_example_speaks(real_target: str) -> None:
    printed = await run_example("Pipecat", "127.0.0.1:50050", real_target)
    async with AsyncClient(real_target) as client:
        name = printed.split()[-1]
        (turn,) = (await client.get_conversation(name)).turns
    assert turn.text.strip() == "Hello there."
    assert turn.audio_ms > 400
