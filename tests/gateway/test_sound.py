"""What is done to the sound of a turn, through the gateway: times, trims, loudness, refusals."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from csm.audio.loudness import loudness_lufs
from csm.serving.metrics import Metrics
from csm.v1 import common_pb2
from csm.v1.common_pb2 import AudioFormat
from csm.v1.speech_pb2 import SoundOptions
from tests.gateway.calls import Conversation, Heard, synthesize, turns_of, violations
from tests.gateway.fakes import FRAME_SAMPLES, RATE, Stack, stack

F32 = common_pb2.AUDIO_ENCODING_PCM_F32LE
S16 = common_pb2.AUDIO_ENCODING_PCM_S16LE
FLOATS = AudioFormat(encoding=F32)


def samples_of(heard: Heard) -> np.ndarray:
    return np.frombuffer(heard.pcm, "<f4")


def sine(code: int, num_samples: int) -> np.ndarray:
    at = code * num_samples + np.arange(num_samples)
    return 0.1 * np.sin(2 * np.pi * 200 * at / RATE)


def words_in_silence(first: int, last: int) -> Any:
    """Frames that are silent but for those from `first` to `last`, last excluded."""
    return lambda code, n: sine(code, n) if first <= code < last else np.zeros(n)


@pytest.mark.parametrize(
    ("options", "field", "told"),
    [
        ({"speed": 0.49}, "speed", "0.49 is not allowed; allowed are 0.5..2.0"),
        ({"speed": 2.01}, "speed", "2.01 is not allowed"),
        ({"speed": float("nan")}, "speed", "nan is not allowed"),
        ({"max_leading_silence_ms": 10_001}, "max_leading_silence_ms", "allowed are 0..10000"),
        ({"max_trailing_silence_ms": 99_999}, "max_trailing_silence_ms", "99999 is not allowed"),
    ],
)
async def test_options_out_of_range_are_named(
    running: Stack, options: dict[str, Any], field: str, told: str
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        await synthesize(running, "Hello.", sound_options=SoundOptions(**options))
    assert told in violations(raised.value)[f"sound_options.{field}"]
    async with Conversation(running, sound_options=SoundOptions(**options)) as call:
        assert told in violations(await call.failed())[f"config.sound_options.{field}"]


async def test_without_options_the_tokenizer_makes_the_clients_format(running: Stack) -> None:
    await synthesize(running, "Hello.", sound_options=SoundOptions(speed=1.0, even_loudness=False))
    await synthesize(running, "Hello.")
    assert [form.encoding for form in running.tokenizer.formats] == [S16, S16]


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.6, 2.0])
@pytest.mark.parametrize("lead_ms", [0, 100])
async def test_times_are_those_of_the_audio_that_is_sent(
    running: Stack, speed: float, lead_ms: int
) -> None:
    form = AudioFormat(encoding=S16, sample_rate_hz=16_000, channels=2)
    running.tokenizer.wave = words_in_silence(0, 7)
    heard = await synthesize(
        running, "x" * 40, format=form, sound_options=SoundOptions(speed=speed), max_lead_ms=lead_ms
    )
    samples = np.frombuffer(heard.pcm, "<i2").reshape(-1, 2)
    assert len(samples) == round(8 * 1280 / speed)
    assert (samples[:, 0] == samples[:, 1]).all()
    assert heard.completed[0].kept_audio_ms == round(8 * 80 / speed)
    assert heard.completed[0].usage.generated_frames == 8
    at = 0
    for chunk in heard.audio:
        assert chunk.first_sample == at
        at += len(chunk.audio) // 4
        assert len(chunk.audio) <= 4 * 1280


async def test_text_counts_as_begun_with_the_sound_of_its_sentence(running: Stack) -> None:
    text = "One two three four five. Six seven eight nine ten."
    heard = await synthesize(running, text, sound_options=SoundOptions(speed=0.5))
    begun = [(a.first_sample, a.text_chars) for a in heard.audio]
    first = next(at for at, chars in begun if chars == len(text))
    # Five frames of the first sentence at half the pace.
    assert abs(first - 5 * 2 * FRAME_SAMPLES) <= FRAME_SAMPLES
    assert [chars for _, chars in begun] == sorted(chars for _, chars in begun)


async def test_a_barge_in_tells_what_was_heard_in_sent_milliseconds(running: Stack) -> None:
    """At twice the pace 400 ms are ten frames."""
    running.generator.frame_s = 0.002
    config: dict[str, Any] = {
        "conversation_id": "fast",
        "sound_options": SoundOptions(speed=2.0),
        "max_lead_ms": 5000,
    }
    async with Conversation(running, **config) as call:
        await call.say("x" * 400 + ".")
        await call.until("audio", 30)
        await call.cancel(heard_ms=400)
        completed = await call.until("turn_completed")
    assert completed.kept_audio_ms == 400
    ((_, _, _, kept_ms),) = await turns_of(running, "fast")
    assert kept_ms == 400


async def test_a_turn_that_is_over_is_cut_to_what_was_heard_of_it(running: Stack) -> None:
    async with Conversation(
        running, conversation_id="slow", sound_options=SoundOptions(speed=0.5)
    ) as call:
        await call.say("One two three four five six.")
        await call.end()
        completed = await call.until("turn_completed")
        assert completed.kept_audio_ms == 6 * 160
        await call.cancel(completed.turn_id, heard_ms=480)
        truncated = await call.until("turn_truncated")
    assert truncated.kept_audio_ms == 480
    ((_, _, text, kept_ms),) = await turns_of(running, "slow")
    assert kept_ms == 480
    assert text == "One two three"


async def test_a_pause_is_exact_at_any_pace(running: Stack) -> None:
    running.tokenizer.wave = lambda code, n: np.full(n, 0.1)
    heard = await synthesize(
        running,
        "One two three. [pause 350ms] Four five six.",
        format=FLOATS,
        sound_options=SoundOptions(speed=1.7),
    )
    samples = samples_of(heard)
    below = np.flatnonzero(samples[: -RATE // 100] < 0.0999)
    # The fade of 5 ms into it is of the pause, the one out of it of the sound.
    assert (below[-1] - below[0] + 1) * 1000 / RATE == pytest.approx(350 + 5, abs=0.5)
    assert heard.completed[0].kept_audio_ms == round(6 * 80 / 1.7) + 350
    assert np.abs(np.diff(samples)).max() < 0.1 / 40


@pytest.mark.parametrize("max_lead_ms", [0, 200])
async def test_silence_at_the_ends_is_cut_however_long_it_is(
    running: Stack, max_lead_ms: int
) -> None:
    """Also where it is longer than all the credit that the generator has for audio unheard."""
    running.tokenizer.wave = words_in_silence(100, 105)
    options = SoundOptions(max_leading_silence_ms=40, max_trailing_silence_ms=120)
    heard = await synthesize(
        running, "x" * 600, format=FLOATS, sound_options=options, max_lead_ms=max_lead_ms
    )
    assert len(samples_of(heard)) == RATE * (40 + 5 * 80 + 120) // 1000
    assert heard.completed[0].kept_audio_ms == 560
    assert heard.completed[0].usage.generated_frames == 120


async def test_all_of_a_turn_is_heard_at_the_end_of_what_was_sent(running: Stack) -> None:
    running.tokenizer.wave = words_in_silence(2, 4)
    options = SoundOptions(max_leading_silence_ms=0, max_trailing_silence_ms=0, speed=1.3)
    async with Conversation(running, conversation_id="cut", sound_options=options) as call:
        await call.say("One two three four five six.")
        await call.end()
        completed = await call.until("turn_completed")
        assert completed.kept_audio_ms == round((20 + 160) / 1.3)
        await call.cancel(completed.turn_id, heard_ms=completed.kept_audio_ms)
        truncated = await call.until("turn_truncated")
    assert truncated.kept_text == "One two three four five six."


def voice_folder(folder: Path) -> Path:
    (folder / "anna").mkdir()
    prompts = [{"audio": "one.wav", "text": "My name is Anna."}]
    (folder / "anna" / "voice.json").write_text(json.dumps({"speaker": 0, "prompts": prompts}))
    (folder / "anna" / "one.wav").write_bytes(b"RIFF" + bytes(2 * FRAME_SAMPLES * 20))
    return folder


async def test_voices_with_prompts_come_to_one_loudness_and_others_when_asked(
    tmp_path: Path,
) -> None:
    async with stack() as running:
        running.tokenizer.wave = lambda code, n: sine(code, n) / 2
        running.tokenizer.recording = lambda frames, n: sine(0, n) / 2
        await running.close()
        running.metrics = Metrics()
        settings = running.settings.model_copy(
            update={"voices_directory": voice_folder(tmp_path), "loudness_lufs": -23.0}
        )
        await running.serve(settings)
        text = "x" * 190

        async def loudness(**asked: Any) -> float:
            heard = await synthesize(running, text, format=FLOATS, **asked)
            return loudness_lufs(samples_of(heard), RATE)

        plain = await loudness()
        assert plain < -28
        for _ in range(2):
            assert await loudness(voice="anna") == pytest.approx(-23.0, abs=0.1)
        off = SoundOptions(even_loudness=False)
        assert await loudness(voice="anna", sound_options=off) == pytest.approx(plain, abs=0.01)
        asked = [await loudness(sound_options=SoundOptions(even_loudness=True)) for _ in range(3)]
        assert asked[-1] == pytest.approx(-23.0, abs=0.1)


async def test_the_server_is_set_and_a_call_says_otherwise() -> None:
    async with stack(speed=2.0, max_leading_silence_ms=0) as running:
        running.tokenizer.wave = words_in_silence(2, 6)
        heard = await synthesize(running, "x" * 30, format=FLOATS)
        assert len(samples_of(heard)) == RATE * (20 + 320) // 2000
        own = SoundOptions(speed=1.0, max_leading_silence_ms=10_000)
        heard = await synthesize(running, "x" * 30, format=FLOATS, sound_options=own)
        assert len(samples_of(heard)) == 6 * FRAME_SAMPLES


async def test_cancelling_at_any_moment_leaves_nothing_behind(running: Stack) -> None:
    running.tokenizer.wave = words_in_silence(5, 40)
    running.generator.frame_s = 0.001
    options = SoundOptions(speed=1.4, max_leading_silence_ms=0, max_trailing_silence_ms=0)
    for wait_s in (0.0, 0.005, 0.02, 0.05, 0.1):
        async with Conversation(running, sound_options=options, max_lead_ms=300) as call:
            await call.say("x" * 300)
            await call.end()
            await asyncio.sleep(wait_s)
            await call.cancel()
            await call.until("turn_completed")
            assert len(call.all("turn_completed")) == 1
    await running.settled()


@pytest.mark.parametrize("speed", [0.5, 2.0])
async def test_a_lead_is_one_of_the_audio_that_is_sent(running: Stack, speed: float) -> None:
    """What is sent takes its own time, less the lead; not that of the model's frames."""
    running.tokenizer.wave = words_in_silence(0, 50)
    num_frames = round(10 * speed)
    began = time.monotonic()
    heard = await synthesize(
        running, "x" * 5 * num_frames, max_lead_ms=300, sound_options=SoundOptions(speed=speed)
    )
    took_s = time.monotonic() - began
    assert heard.completed[0].kept_audio_ms == 800
    assert took_s >= 0.8 - 0.3 - 0.05
    if speed == 2.0:
        # As 1600 ms of the model's frames it would take 1.3 s.
        assert took_s < 1.2
