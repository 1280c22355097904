"""Several voices of one turn, each at the loudness that was asked for, through the gateway."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csm.v1 import common_pb2
from csm.v1.common_pb2 import AudioFormat
from csm.v1.speech_pb2 import SoundOptions
from gateway.sounds import Sounds
from tests.gateway.calls import Conversation, Heard, synthesize
from tests.gateway.fakes import FRAME_SAMPLES, RATE, Stack, stack

FLOATS = AudioFormat(encoding=common_pb2.AUDIO_ENCODING_PCM_F32LE)
RAMP = RATE // 100
DYING_AWAY = RATE // 200
"""Samples behind a turn that ends on a loud one."""
LEVELS = {"anna": 0.2, "bert": 0.05}
"""Peaks of the recordings' tone."""
TEXT = "One two three four five. [voice: bert] Six seven eight nine. [voice: anna] Ten eleven."


def folder(path: Path) -> Path:
    for frames, name in enumerate(LEVELS, 20):
        (path / name).mkdir()
        prompts = [{"audio": "one.wav", "text": f"My name is {name}, and I am speaking now."}]
        (path / name / "voice.json").write_text(json.dumps({"speaker": 0, "prompts": prompts}))
        (path / name / "one.wav").write_bytes(b"RIFF" + bytes(100 * frames - 4))
    return path


def tone(num_samples: int, level: float) -> np.ndarray:
    return level * np.sin(2 * np.pi * 1000 * np.arange(num_samples) / RATE)


def recording(frames: Any, num_samples: int) -> np.ndarray:
    """Anna's recording has 20 frames, Bert's 21: the fake makes one of 100 bytes."""
    return tone(num_samples, LEVELS["anna" if frames.num_frames == 20 else "bert"])


async def serving(running: Stack, path: Path, **settings: Any) -> None:
    running.tokenizer.recording = recording
    running.tokenizer.wave = lambda code, n: tone(n, 0.1)
    await running.up(
        voices_directory=folder(path), default_voice="anna", loudness_lufs=-20.0, **settings
    )


@pytest.fixture
async def even(tmp_path: Path) -> Any:
    """A stack with two voices, whose recordings are 12 dB apart."""
    running = Stack()
    try:
        await serving(running, tmp_path)
        yield running
    finally:
        await running.down()


def gains_db(heard: Heard) -> np.ndarray:
    """What was done to each frame, the ramp at its beginning left out."""
    samples = np.frombuffer(heard.pcm, "<f4")
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return 20 * np.log10(np.abs(frames[:, RAMP:]).max(axis=1) / 0.1)


def wanted_db(name: str) -> float:
    """A tone of 1 kHz of that peak has 3 dB less than it in LUFS."""
    return -20.0 - (20 * np.log10(LEVELS[name]) - 3.01)


def spoken_by(running: Stack) -> list[int]:
    """Frames of each sentence of the last turn."""
    return [max(1, -(-len(t) // 5)) for t in running.generator.streams[-1].texts]


async def test_each_voice_has_its_own_gain_exact_to_the_frame(even: Stack) -> None:
    heard = await synthesize(even, TEXT, format=FLOATS)
    # The fake says a frame for five characters.
    first, second, third = spoken_by(even)
    assert (first, second, third) == (5, 5, 3)
    anna, bert = wanted_db("anna"), wanted_db("bert")
    expected = [anna] * first + [bert] * second + [anna] * third
    np.testing.assert_allclose(gains_db(heard), expected, atol=0.15)
    # From the sample on: the last of the frame before is as it was.
    samples = np.frombuffer(heard.pcm, "<f4")
    at = first * FRAME_SAMPLES
    assert np.abs(samples[at - RAMP : at]).max() == pytest.approx(0.1 * 10 ** (anna / 20), rel=0.02)
    # No step is higher than those of the tone itself.
    loudest = 0.1 * 10 ** (bert / 20)
    assert np.abs(np.diff(samples)).max() <= 1.05 * loudest * 2 * np.pi * 1000 / RATE
    assert heard.completed[0].kept_audio_ms == 13 * 80
    assert [a.text_chars for a in heard.audio] == sorted(a.text_chars for a in heard.audio)


@pytest.mark.parametrize("speed", [0.5, 2.0])
async def test_the_boundary_is_where_the_pace_puts_it(even: Stack, speed: float) -> None:
    options = SoundOptions(speed=speed, max_leading_silence_ms=0, max_trailing_silence_ms=0)
    heard = await synthesize(even, TEXT, format=FLOATS, sound_options=options)
    samples = np.frombuffer(heard.pcm, "<f4")
    assert len(samples) - round(13 * FRAME_SAMPLES / speed) in (0, DYING_AWAY)
    peaks = np.abs(samples[: len(samples) // 48 * 48].reshape(-1, 48)).max(axis=1)
    louder = np.flatnonzero(peaks > 0.1 * 10 ** ((wanted_db("anna") + wanted_db("bert")) / 40))
    ends_s = np.array([louder[0], louder[-1] + 1]) * 48 / RATE
    np.testing.assert_allclose(ends_s, [0.4 / speed, 0.8 / speed], atol=0.03)


async def test_each_voice_is_evened_by_its_own_rule(even: Stack) -> None:
    """The model's own voice has no recordings: it stays, also where the turn is its."""
    anna, bert = wanted_db("anna"), wanted_db("bert")
    heard = await synthesize(
        even, "One two. [voice: bert] Three. [/voice] Four.", voice="fake", format=FLOATS
    )
    first, second, third = spoken_by(even)
    np.testing.assert_allclose(
        gains_db(heard), [0.0] * first + [bert] * second + [0.0] * third, atol=0.15
    )
    heard = await synthesize(even, "One. [voice: fake] Two. [voice: anna] Three.", format=FLOATS)
    first, second, third = spoken_by(even)
    np.testing.assert_allclose(
        gains_db(heard), [anna] * first + [0.0] * second + [anna] * third, atol=0.15
    )
    off = SoundOptions(even_loudness=False)
    heard = await synthesize(even, TEXT, format=FLOATS, sound_options=off)
    np.testing.assert_allclose(gains_db(heard), 0.0, atol=0.01)


async def test_voices_without_recordings_are_learned_each_by_itself(even: Stack) -> None:
    even.tokenizer.wave = lambda code, n: tone(n, 0.05)
    on = SoundOptions(even_loudness=True)
    text = f"{'x' * 150}. [voice: fake] {'x' * 150}."
    for _ in range(5):
        heard = await synthesize(even, text, format=FLOATS, sound_options=on)
    gains = gains_db(heard) + 20 * np.log10(2)
    assert gains[:31].mean() == pytest.approx(wanted_db("anna"), abs=0.2)
    # That it was told by what it spoke: the tone of 0.05, as Bert's recording.
    assert gains[-5:].mean() == pytest.approx(wanted_db("bert"), abs=0.2)


@pytest.mark.parametrize("parts", [[TEXT], [TEXT[at : at + 9] for at in range(0, len(TEXT), 9)]])
async def test_a_voice_that_joins_while_the_text_arrives(even: Stack, parts: list[str]) -> None:
    async with Conversation(even, voice="fake", output_format=FLOATS) as call:
        for part in parts:
            await call.say(part)
            await asyncio.sleep(0)
        await call.end()
        await call.done()
    (turn,) = call.spoken
    expected = [0.0] * 5 + [wanted_db("bert")] * 5 + [wanted_db("anna")] * 3
    np.testing.assert_allclose(gains_db(turn), expected, atol=0.15)


async def test_a_pause_between_voices_is_exact(even: Stack) -> None:
    text = "One two three four five. [pause 400ms] [voice: bert] Six seven eight nine."
    heard = await synthesize(even, text, format=FLOATS)
    samples = np.frombuffer(heard.pcm, "<f4")
    first = 5 * FRAME_SAMPLES
    behind = samples[first + RATE * 400 // 1000 :]
    assert len(behind) == 5 * FRAME_SAMPLES + DYING_AWAY
    assert not samples[first + RATE // 100 : first + RATE * 390 // 1000].any()
    assert np.abs(behind[RAMP : 2 * RAMP]).max() == pytest.approx(
        0.1 * 10 ** (wanted_db("bert") / 20), rel=0.02
    )


def without_qualities(running: Stack, *names: str) -> Sounds:
    """Voices of which nobody knows how loud their recordings are; who measures them then."""
    speech = running.service._speech
    for name in names:
        speech.voices.of("").get(name).__dict__["qualities"] = ()
    speech.sounds._gains.clear()
    return speech.sounds


async def test_what_is_known_of_recordings_is_not_measured_again(even: Stack) -> None:
    assert not even.tokenizer.formats
    without_qualities(even, "anna")
    heard = await synthesize(even, "One two three four.", format=FLOATS)
    # Once for its recordings, once for the turn.
    assert len(even.tokenizer.formats) == 2
    # As the codec speaks them: the fake, alike whatever the codes are.
    np.testing.assert_allclose(gains_db(heard), -20.0 - (-20 - 3.01), atol=0.15)
    await synthesize(even, "One two three four.", format=FLOATS)
    assert len(even.tokenizer.formats) == 3


async def test_a_voice_that_has_to_be_measured_stalls_no_turn(even: Stack) -> None:
    """Its first sentence is as it is, those behind the measuring are evened."""
    sounds = without_qualities(even, "bert")
    running = asyncio.Event()
    measured = sounds._prompts_lufs

    async def late(prompts: Any) -> float:
        await running.wait()
        return await measured(prompts)

    sounds._prompts_lufs = late  # type: ignore[method-assign]
    async with Conversation(even, voice="fake", output_format=FLOATS) as call:
        await call.say("[voice: bert] One two three four. ")
        await call.until("audio", 4)
        assert [one.key for one in sounds._tasks] == ["bert"]
        running.set()
        while sounds._tasks:
            await asyncio.sleep(0.01)
        await call.say("Five six seven eight. [voice: bert] One two three four.")
        await call.end()
        await call.done()
    (turn,) = call.spoken
    gains = gains_db(turn)
    np.testing.assert_allclose(gains[:4], 0.0, atol=0.01)
    np.testing.assert_allclose(gains[4:], 3.01, atol=0.15)


async def test_a_voice_whose_recordings_changed_keeps_its_gain_until_they_are_measured(
    even: Stack,
) -> None:
    sounds = without_qualities(even, "bert")
    even.service._speech.sounds._keep(
        even.service._speech.voices.of("").get("anna"), known := sounds._of(-26.0)
    )
    anna = even.service._speech.voices.of("").get("anna")
    changed = type(anna)(**{**anna.__dict__, "prompts": anna.prompts * 2, "qualities": ()})
    assert sounds._gain_now(changed) is known
    await asyncio.gather(*sounds._tasks.values())
    measured = sounds._gain_now(changed)
    assert measured is not known
    assert measured is not None
    assert measured.wanted_db == pytest.approx(3.01, abs=0.1)


async def test_the_gain_of_one_tenants_voice_is_nothing_to_anothers_of_its_name(
    even: Stack,
) -> None:
    sounds = without_qualities(even, "anna")
    anna = even.service._speech.voices.of("").get("anna")
    mine, yours = (type(anna)(**{**anna.__dict__, "owner": owner}) for owner in "ab")
    sounds._keep(mine, known := sounds._of(-26.0))
    assert sounds._gain_now(mine) is known
    assert sounds._gain_now(yours) is None
    await asyncio.gather(*sounds._tasks.values())
    assert sounds._gain_now(mine) is known
    assert sounds._gain_now(yours) not in (None, known)


async def test_few_voices_are_measured_beside_turns(even: Stack) -> None:
    sounds = without_qualities(even, "anna")
    anna = even.service._speech.voices.of("").get("anna")
    for number in range(40):
        sounds._gain_now(type(anna)(**{**anna.__dict__, "name": f"v{number}"}))
    assert len(sounds._tasks) == 16
    sounds.close()
    await asyncio.gather(*sounds._tasks.values(), return_exceptions=True)
    assert not sounds._tasks


async def test_a_gateway_whose_voices_are_not_evened_measures_nothing(tmp_path: Path) -> None:
    async with stack(voices_directory=folder(tmp_path), even_loudness="off") as running:
        await synthesize(running, TEXT, voice="anna")
        assert len(running.tokenizer.formats) == 1
        assert not running.service._speech.sounds._gains
