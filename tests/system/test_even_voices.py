"""Several voices in one turn of the model that ships, each with the gain of its own recordings."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm.client import AsyncClient, AudioFormat, SoundOptions
from gateway.speaking.late_decoder import MAX_GATHERED_FRAMES
from services.all_in_one import AllInOne
from tests.gateway.sound.speech import click, highest_jump, speech
from tests.system.conftest import PICO

RAMP = 240
"""10 ms."""
TEXT = (
    "The weather is fine today. [voice: lena] We went to the market. [voice: michael] Good night."
)


def lena(folder: Path) -> Path:
    """A voice prompted with a recording that is far too soft."""
    samples, rate_hz = speech("pico-heart.ogg")
    (folder / "lena").mkdir(parents=True)
    prompt = {"audio": "one.wav", "text": "The evening train was late again."}
    (folder / "lena" / "voice.json").write_text(json.dumps({"speaker": 0, "prompts": [prompt]}))
    soundfile.write(folder / "lena" / "one.wav", samples[: 3 * rate_hz] * 0.7, rate_hz)
    return folder


async def test_each_voice_is_evened_from_its_first_frame_to_its_last(tmp_path: Path) -> None:
    folder = lena(tmp_path / "voices")

    async def said(client: AsyncClient, **asked: bool) -> tuple[np.ndarray, dict[int, int]]:
        """The samples, and the first one of each sentence by the characters of the text."""
        speech = client.synthesize(
            TEXT,
            voice="michael",
            seed=5,
            format=AudioFormat(encoding="f32"),
            sound_options=SoundOptions(**asked),
        )
        parts: list[np.ndarray] = []
        begins: dict[int, int] = {}
        async for chunk in speech:
            begins.setdefault(chunk.text_chars, chunk.first_sample)
            parts.append(chunk.samples)
        assert speech.completed is not None
        return np.concatenate(parts), begins

    async with (
        AllInOne(model=PICO, slots=1, threads=1, gateway={"voices_directory": folder}) as running,
        AsyncClient(running.address) as client,
    ):
        plain, begins = await said(client, even_loudness=False)
        even, _ = await said(client)
        (recording,) = (await client.get_voice("lena")).recordings

    first, second = sorted(begins.values())[1:]
    assert first % 1920 == second % 1920 == 0
    assert len(even) == len(plain)
    wanted = np.float32(10 ** ((-20.0 - recording.loudness_lufs) / 20))
    assert wanted > 1.5
    np.testing.assert_array_equal(even[:first], plain[:first])
    # Frames that are decoded together are one chunk, whose sentence is that of its last frame: hers
    # may end with any frame of it, and nowhere within one.
    ends = range(second, second + MAX_GATHERED_FRAMES * 1920, 1920)
    second = next(
        at for at in ends if np.allclose(even[at + RAMP :], plain[at + RAMP :], rtol=0, atol=1e-6)
    )
    before, after = plain[first + RAMP : second], even[first + RAMP : second]
    loud = np.abs(before) > 0.01
    gains = after[loud] / before[loud]
    # But for what a limiter takes off its peaks.
    assert np.median(gains) == pytest.approx(wanted, rel=1e-3)
    assert gains.max() <= wanted * 1.001
    assert np.abs(after).max() <= 0.891
    # No click where the voices change: nothing there is nearly as steep as in her speech.
    for at in (first, second):
        assert highest_jump(even[at - 1 : at + RAMP + 1]) < 0.1 * highest_jump(after)
        assert click(even[at - 480 : at + 480], 24_000) < 0.1 * click(after, 24_000)
