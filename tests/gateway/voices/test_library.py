"""Voices of a folder, and how they reach the generator."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from csm.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    QueueFull,
    ServiceError,
    Unavailable,
)
from csm.serving.metrics import Metrics
from csm.v1 import generator_pb2, speech_pb2
from gateway.service import GatewayService
from gateway.speech import SpeechHandler
from gateway.voices.voices import Voices
from tests.gateway.calls import Conversation, synthesize, turns_of
from tests.gateway.fakes import Stack, stack


def voice(folder: Path, name: str, content: object, **files: bytes) -> None:
    (folder / name).mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name / "voice.json").write_text(text)
    for stem, data in files.items():
        (folder / name / f"{stem}.wav").write_bytes(data)


ANNA = {
    "speaker": 4,
    "description": "calm",
    "prompts": [{"audio": "one.wav", "text": "My name is Anna."}],
}


async def test_voices_of_the_folder_are_listed_beside_the_models_own(tmp_path: Path) -> None:
    voice(tmp_path, "anna", ANNA, one=b"RIFF" + bytes(296))
    voice(tmp_path, "bert", {"speaker": 5})
    async with stack(voices_directory=tmp_path, default_voice="anna") as running:
        answer = await running.stub.ListVoices(speech_pb2.ListVoicesRequest())
        assert [(v.name, v.speaker, v.prompt_segments, v.description) for v in answer.voices] == [
            ("anna", 4, 1, "calm"),
            ("bert", 5, 0, ""),
            ("fake", 0, 0, "the model's own voice"),
        ]
        assert answer.default_voice == "anna"
        info = await running.stub.GetServerInfo(speech_pb2.GetServerInfoRequest())
        assert info.default_voice == "anna"
        assert (info.model, info.slots, info.num_codebooks) == ("fake", 4, 8)
        assert info.sample_rate_hz == 24_000


async def test_a_voices_prompts_are_pinned_before_the_history(tmp_path: Path) -> None:
    voice(tmp_path, "anna", ANNA, one=b"RIFF" + bytes(296))
    async with stack(voices_directory=tmp_path) as running:
        for text in ("First.", "Second."):
            await synthesize(running, text, voice="anna", conversation_id="c")
        await synthesize(running, "Plain.")
        await synthesize(running, "Third.", conversation_id="c")
        # The first asked whether the prompts fit.
        streams = running.generator.streams[1:]
        assert [(s.text, s.pinned, s.frames.num_frames) for s in streams[1].context] == [
            ("My name is Anna.", True, 3),
            ("First.", False, 2),
        ]
        assert streams[1].config.speaker == 4
        assert streams[2].context == []
        # The conversation remembers its voice.
        assert streams[3].context[0].pinned
        async with Conversation(running, conversation_id="c") as call:
            assert (await call.until("started")).voice == "anna"
            await call.end("And you?")
            await call.until("turn_completed")
            await call.done()
        assert (await turns_of(running, "c"))[-1][:3] == (True, 5, "And you?")
        # Each recording was encoded once.
        assert len(running.tokenizer.files) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad", "{", "content"),
        ("bad", {"speaker": -1}, "speaker"),
        ("bad", {"speaker": 1, "colour": "red"}, "colour"),
        ("bad", {"speaker": 1, "prompts": [{"audio": "a.wav"}]}, r"prompts\.0\.text"),
        (
            "bad",
            {"speaker": 1, "prompts": [{"audio": "none.wav", "text": "x"}]},
            "none.wav.*No such file",
        ),
        (
            "bad",
            {"speaker": 1, "prompts": [{"audio": "../../x.wav", "text": "x"}]},
            "outside the voice's folder",
        ),
        ("no name", {"speaker": 1}, "no name for a voice"),
    ],
)
async def test_a_wrong_voice_stops_the_start_and_names_its_file(
    tmp_path: Path, name: str, content: object, message: str
) -> None:
    voice(tmp_path, name, content)
    with pytest.raises(ValueError, match=message) as caught:
        async with stack(voices_directory=tmp_path):
            pass
    assert str(tmp_path / name / "voice.json") in str(caught.value)


async def test_a_recording_that_is_none_is_named(tmp_path: Path) -> None:
    voice(tmp_path, "anna", ANNA, one=b"text")
    with pytest.raises(ValueError, match=r"one\.wav: is no audio"):
        async with stack(voices_directory=tmp_path):
            pass


async def test_a_default_voice_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(ValueError, match=r"default_voice 'anna': no such voice; there are fake"):
        async with stack(default_voice="anna"):
            pass


SPEAKERS = [
    generator_pb2.ModelVoice(name="heart", speaker=0, description="a woman, US English"),
    generator_pb2.ModelVoice(name="michael", speaker=1, description="a man, US English"),
]


@contextlib.asynccontextmanager
async def stack_over(running: Stack, **settings: object) -> AsyncIterator[SpeechHandler]:
    """A further gateway over the same backends."""
    service = GatewayService(running.settings.model_copy(update=settings), Metrics())
    try:
        await service.start()
        yield service._speech
    finally:
        await service.stop()


async def refused(running: Stack, message: str, **settings: object) -> None:
    """A further gateway over the same backends does not start."""
    with pytest.raises(ValueError, match=message):
        async with stack_over(running, **settings):
            pass


@contextlib.asynccontextmanager
async def stack_of(
    speakers: list[generator_pb2.ModelVoice], **settings: object
) -> AsyncIterator[Stack]:
    running = Stack()
    running.generator.voices = speakers
    try:
        await running.up(**settings)
        yield running
    finally:
        await running.down()


async def test_the_speakers_that_the_model_names_are_voices() -> None:
    async with stack_of(SPEAKERS) as running:
        answer = await running.stub.ListVoices(speech_pb2.ListVoicesRequest())
        assert [(v.name, v.speaker, v.description) for v in answer.voices] == [
            ("fake", 0, "the model's own voice"),
            ("heart", 0, "a woman, US English"),
            ("michael", 1, "a man, US English"),
        ]
        assert answer.default_voice == "fake"
        await synthesize(running, "Hello.", voice="michael")
        assert running.generator.streams[-1].config.speaker == 1


async def test_a_model_whose_speaker_has_its_own_name_has_one_voice_of_it() -> None:
    named = generator_pb2.ModelVoice(name="fake", speaker=7, description="itself")
    async with stack_of([named]) as running:
        answer = await running.stub.ListVoices(speech_pb2.ListVoicesRequest())
        assert [(v.name, v.speaker, v.description) for v in answer.voices] == [
            ("fake", 7, "itself")
        ]


async def test_the_models_own_voice_is_a_speaker_that_it_names() -> None:
    async with stack_of([generator_pb2.ModelVoice(name="b", speaker=5)]) as running:
        answer = await running.stub.ListVoices(speech_pb2.ListVoicesRequest())
        assert [(v.name, v.speaker) for v in answer.voices] == [("b", 5), ("fake", 5)]


async def test_two_voices_of_one_name_stop_the_start_and_both_are_told(tmp_path: Path) -> None:
    voice(tmp_path, "michael", {"speaker": 1})
    async with stack_of(SPEAKERS) as running:
        await refused(
            running,
            rf"{tmp_path}/michael/voice\.json: there is a voice 'michael' already: speaker 1 of "
            "the model",
            voices_directory=tmp_path,
        )
    (tmp_path / "michael").rename(tmp_path / "fake")
    async with stack() as running:
        await refused(
            running,
            r"fake/voice\.json: there is a voice 'fake' already: the model's own voice",
            voices_directory=tmp_path,
        )


async def test_a_voice_of_a_speaker_that_the_model_does_not_name_stops_the_start(
    tmp_path: Path,
) -> None:
    voice(tmp_path, "anna", {"speaker": 9})
    async with stack_of(SPEAKERS) as running:
        await refused(
            running,
            r"anna/voice\.json: speaker: 9 is no speaker of this model; allowed are 0 \(heart\), "
            r"1 \(michael\)",
            voices_directory=tmp_path,
        )


async def test_a_voice_whose_prompts_leave_no_room_to_speak_stops_the_start(
    tmp_path: Path,
) -> None:
    voice(tmp_path, "anna", ANNA, one=b"RIFF" + bytes(296))
    async with stack() as running:
        # 3 frames, 16 characters, and a sentence of 200.
        running.generator.max_pinned_positions = 218
        await refused(
            running,
            rf"{tmp_path}/anna/voice\.json: prompts, and a sentence of 200 characters: the pinned "
            r"segments take 219 positions; at most 218 are left",
            voices_directory=tmp_path,
        )
        running.generator.max_pinned_positions = 219
        async with stack_over(running, voices_directory=tmp_path) as service:
            assert service.voices.of("").get("anna").prompts
        await running.settled()


def test_a_speaker_that_the_model_does_not_name_is_refused() -> None:
    named = Voices({}, "", {0: "heart", 1: "michael"})
    named.check_speaker("speaker", 1)
    with pytest.raises(InvalidArgument, match=r"speaker: 9 is no speaker of this model; allowed"):
        named.check_speaker("speaker", 9)
    many = Voices({}, "", {number: f"voice {number}" for number in range(100)})
    with pytest.raises(InvalidArgument, match=r"15 \(voice 15\) and 84 more"):
        many.check_speaker("speaker", 100)
    Voices({}, "").check_speaker("speaker", 9)


async def test_a_recording_that_is_too_large_is_named_and_not_read(tmp_path: Path) -> None:
    voice(tmp_path, "anna", ANNA)
    with (tmp_path / "anna" / "one.wav").open("wb") as file:
        file.truncate((32 << 20) + 1)
    async with stack() as running:
        await refused(
            running,
            r"audio 'one\.wav' has 33554433 bytes; allowed are at most 33554432",
            voices_directory=tmp_path,
        )


def test_who_is_heard_by_default_is_a_speaker_of_the_model_and_not_the_voices_own() -> None:
    named = Voices({}, "", {0: "heart", 1: "michael", 3: "fable"})
    assert [named.listener_of(speaker) for speaker in (0, 1, 3)] == [1, 3, 0]
    assert Voices({}, "").listener_of(3) == 4


async def test_backends_that_are_busy_while_voices_load_are_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    voice(tmp_path, "anna", ANNA, one=b"RIFF" + bytes(296))
    running = Stack()
    running.tokenizer.refuse_files = [QueueFull("busy"), Unavailable("draining")]
    running.generator.refuse_streams = [QueueFull("busy"), DeadlineExceeded("late")]
    try:
        start = asyncio.create_task(running.up(voices_directory=tmp_path))
        while running.tokenizer.refuse_files:
            await asyncio.sleep(0.001)
        assert not start.done()
        assert not running.host.state().ready
        async with asyncio.timeout(10):
            await start
        assert running.host.state().ready
        answer = await running.stub.ListVoices(speech_pb2.ListVoicesRequest())
        assert [v.name for v in answer.voices] == ["anna", "fake"]
    finally:
        await running.down()
    waits = [r for r in caplog.records if "cannot be loaded yet" in r.message]
    assert len(waits) == 4


async def test_a_codec_that_changes_while_voices_load_is_the_one_that_counts(
    tmp_path: Path,
) -> None:
    voice(tmp_path, "anna", ANNA, one=b"RIFF" + bytes(296))
    running = Stack()
    running.tokenizer.refuse_files = [Unavailable("draining")]
    try:
        # Long enough between two tries for a look at the tokenizer.
        start = asyncio.create_task(
            running.up(voices_directory=tmp_path, backend_refresh_s=0.05, backend_retry_s=0.5)
        )
        while running.tokenizer.refuse_files:
            await asyncio.sleep(0.001)
        running.tokenizer.digest = "another"
        async with asyncio.timeout(10):
            await start
        await asyncio.sleep(2 * running.settings.backend_refresh_s)
        assert running.host.state().ready
    finally:
        await running.down()


async def test_a_backend_that_fails_for_good_stops_the_start(tmp_path: Path) -> None:
    voice(tmp_path, "anna", ANNA, one=b"RIFF" + bytes(296))
    async with stack() as running:
        running.tokenizer.refuse_files = [FailedPrecondition("no such codec")]
        with pytest.raises(ServiceError, match="no such codec"):
            async with stack_over(running, voices_directory=tmp_path):
                pass


async def test_what_is_odd_about_a_prompt_is_logged_at_the_start_without_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = "A prompt of a great many words, which nobody can say in a tenth of a second at all."
    content = {"speaker": 4, "prompts": [{"audio": "one.wav", "text": words}]}
    voice(tmp_path, "anna", content, one=b"RIFF" + bytes(296))
    async with stack(voices_directory=tmp_path):
        pass
    told = [r.getMessage() for r in caplog.records if r.name == "gateway.voices.library"]
    assert len(told) == 1
    assert told[0].startswith(f"{tmp_path / 'anna' / 'one.wav'}: its 83 characters take about")
    assert "prompt" not in told[0].removeprefix(str(tmp_path))
