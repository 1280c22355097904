"""What is told of recordings whose words are others, in the terminal of the turn."""

import asyncio
from typing import Any

import pytest

from csm.v1 import common_pb2, speech_pb2
from gateway import synthesize_call
from gateway.hearing.recordings import OTHER_WORDS, RecordingCheck
from tests.gateway.calls import synthesize
from tests.gateway.fakes import EOS, Stack, stack

# The fake makes a frame of each 100 bytes.
CONTEXT = [
    speech_pb2.ContextTurn(
        speaker=1, text="We heard it as clear as day.", audio_file=b"RIFF" + bytes(2500)
    )
]


async def test_other_words_are_told_of_the_file_that_has_them(
    running: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str, str]] = []

    async def other(self: RecordingCheck, audio: bytes, text: str, language: str) -> str:
        asked.append((len(audio), text, language))
        return OTHER_WORDS

    monkeypatch.setattr(RecordingCheck, "words_problem", other)
    heard = await synthesize(running, "Hello.", context=CONTEXT)
    assert asked == [(2504, CONTEXT[0].text, "en")]
    (warning,) = heard.completed[0].warnings
    assert warning.kind == common_pb2.WARNING_KIND_RECORDING
    assert (warning.field, warning.description) == ("context[0].audio_file", OTHER_WORDS)


async def test_speech_waits_for_nobody_who_listens_and_its_terminal_not_for_long(
    running: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []

    async def slow(*_: Any) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)
        return OTHER_WORDS

    monkeypatch.setattr(RecordingCheck, "words_problem", slow)
    monkeypatch.setattr(synthesize_call, "LISTENING_WAIT_S", 0.05)
    heard = await synthesize(running, "Hello.", context=CONTEXT, timeout_s=10)
    assert heard.completed[0].finish_reason == EOS
    assert not heard.completed[0].warnings
    await running.settled()
    assert ended


async def test_the_operator_may_have_nothing_asked() -> None:
    context = [
        speech_pb2.ContextTurn(
            speaker=1, text="Much more. " * 200, audio_file=b"RIFF" + bytes(2500)
        )
    ]
    async with stack(check_recordings="off") as running:
        assert not (await synthesize(running, "Hello.", context=context)).completed[0].warnings
    async with stack(check_recordings="length") as running:
        assert (await synthesize(running, "Hello.", context=context)).completed[0].warnings
