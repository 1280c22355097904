"""Voices of a folder against the model that ships."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from csm.client.client import AsyncClient
from services.all_in_one import AllInOne
from tests.system.conftest import PICO


def voice(folder: Path, name: str, *, seconds: float, text: str) -> None:
    (folder / name).mkdir()
    content = {"speaker": 1, "prompts": [{"audio": "one.wav", "text": text}]}
    (folder / name / "voice.json").write_text(json.dumps(content))
    with wave.open(str(folder / name / "one.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        tone = np.sin(np.arange(int(seconds * 24_000)) * 0.05) * 3000
        file.writeframes(tone.astype("<i2").tobytes())


def stack(folder: Path) -> AllInOne:
    return AllInOne(model=PICO, slots=1, threads=1, gateway={"voices_directory": folder})


async def test_a_voice_that_fits_the_model_speaks(tmp_path: Path) -> None:
    voice(tmp_path, "anna", seconds=2.0, text="My name is Anna.")
    async with stack(tmp_path) as running, AsyncClient(running.address) as client:
        speech = client.synthesize("Hello.", voice="anna", max_audio_ms=320)
        assert [chunk async for chunk in speech]


async def test_a_voice_that_is_longer_than_the_models_context_stops_the_start(
    tmp_path: Path,
) -> None:
    """With the numbers of the generator's own rule."""
    voice(tmp_path, "anna", seconds=30.0, text="What I say takes long. " * 20)
    with pytest.raises(
        ValueError,
        match=rf"{tmp_path}/anna/voice\.json: prompts, and a sentence of 200 characters: the "
        r"first \d+ pinned segments take \d+ positions; at most \d+ are left of \d+ beside the "
        r"longest turn",
    ):
        async with stack(tmp_path):
            pass
