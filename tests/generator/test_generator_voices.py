"""The speakers that a model directory names."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from csm.v1 import common_pb2, generator_pb2
from services.generator.voices import FILE_NAME, load_voices
from services.model_directory import default_model_directory
from tests.generator.grpc_harness import segment, serving

PICO = default_model_directory()
ALLOWED = "this model has 0 (heart), 1 (michael), 2 (emma), 3 (fable)"


def test_a_directory_without_the_file_names_nobody(tmp_path: Path) -> None:
    assert load_voices(tmp_path) == ()


def test_pico_names_its_speakers() -> None:
    assert len({voice.name for voice in load_voices(PICO)}) == 4
    assert [voice.speaker for voice in load_voices(PICO)] == [0, 1, 2, 3]
    assert all(voice.description for voice in load_voices(PICO))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "EOF"),
        ("[]", "object"),
        ("{}", "voices: Field required"),
        ({"voices": []}, "voices: "),
        ({"voices": [{"name": "a", "speaker": 0}], "more": 1}, "more: Extra inputs"),
        ({"voices": [{"name": "a", "speaker": 0, "gender": "f"}]}, "voices.0.gender: Extra"),
        ({"voices": [{"name": "a"}]}, "voices.0.speaker: Field required"),
        ({"voices": [{"name": "", "speaker": 0}]}, "voices.0.name"),
        ({"voices": [{"name": "a b", "speaker": 0}]}, "voices.0.name"),
        ({"voices": [{"name": 5, "speaker": 0}]}, "voices.0.name"),
        ({"voices": [{"name": "a", "speaker": "0"}]}, "voices.0.speaker"),
        ({"voices": [{"name": "a", "speaker": -1}]}, "voices.0.speaker"),
        ({"voices": [{"name": "a", "speaker": 65536}]}, "voices.0.speaker"),
        (
            {"voices": [{"name": "a", "speaker": 0}, {"name": "a", "speaker": 1}]},
            "name: 'a' is there twice",
        ),
        (
            {"voices": [{"name": "a", "speaker": 7}, {"name": "b", "speaker": 7}]},
            "speaker: 7 is there twice",
        ),
    ],
)
def test_a_broken_file_is_refused_by_name_and_field(
    tmp_path: Path, content: object, says: str
) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ValueError, match=FILE_NAME) as error:
        load_voices(tmp_path)
    assert says in str(error.value)


def test_a_file_of_megabytes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(" " * (1 << 21))
    with pytest.raises(ValueError, match="2097152 bytes; at most 1048576"):
        load_voices(tmp_path)


async def test_the_model_tells_its_speakers_and_refuses_all_others() -> None:
    async with serving(model=PICO, slots=2, device="cpu", threads=1) as server:
        info = await server.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
        assert [(voice.name, voice.speaker) for voice in info.voices] == [
            ("heart", 0),
            ("michael", 1),
            ("emma", 2),
            ("fable", 3),
        ]
        failure = await (await server.open(speaker=9)).error()
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        assert failure.violations == {"config.speaker": f"9 is not allowed; {ALLOWED}"}
        stream = await server.open(speaker=3)
        await stream.context(segment("hello", speaker=2), segment("hello", speaker=4))
        failure = await stream.error()
        assert failure.violations == {
            "segments.segments[1].speaker": f"4 is not allowed; {ALLOWED}"
        }
        stream = await server.open(speaker=3)
        await stream.say("hello", speaker=5)
        assert (await stream.error()).violations == {
            "flush.speaker": f"5 is not allowed; {ALLOWED}"
        }
        heard = await server.speak("hello.", speaker=3)
        assert heard.completed
        assert heard.completed.finish_reason == common_pb2.FINISH_REASON_EOS


async def test_a_model_that_names_nobody_takes_any_number() -> None:
    async with serving() as server:
        info = await server.stub.GetModelInfo(generator_pb2.GetModelInfoRequest())
        assert not info.voices
        assert (await server.speak("hello", speaker=65535)).completed
