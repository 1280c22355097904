"""Voices of a folder, and how they reach the generator."""

import json
from pathlib import Path

import pytest

from csm.v1 import speech_pb2
from tests.gateway.calls import Conversation, synthesize, turns_of
from tests.gateway.fakes import stack


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
        streams = running.generator.streams
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
