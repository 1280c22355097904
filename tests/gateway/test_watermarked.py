"""The operator's watermark on all audio that leaves the gateway, and none where it fails."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from csm.v1 import common_pb2, speech_pb2
from csm.v1.common_pb2 import AudioFormat
from csm.v1.speech_pb2 import SoundOptions
from tests.gateway.calls import Conversation, synthesize, turns_of
from tests.gateway.fakes import EOS, ERROR, RATE, Stack, stack
from tests.gateway.sound import spread

MODULE = "tests.gateway.sound.spread"
MARKED: dict[str, Any] = {"watermark": f"{MODULE}:make", "watermark_key": "the operator's"}
BROKEN: dict[str, Any] = {"watermark": f"{MODULE}:make_broken", "watermark_key": "any"}
INTERNAL = 13
TEXT = "One two three four five six seven eight. [pause 400ms] Nine ten eleven twelve."


@pytest.mark.parametrize("options", [SoundOptions(), SoundOptions(speed=1.5)])
@pytest.mark.parametrize("channels", [1, 2])
async def test_all_audio_carries_it_and_the_server_says_so(
    options: SoundOptions, channels: int
) -> None:
    form = AudioFormat(encoding=common_pb2.AUDIO_ENCODING_PCM_S16LE, channels=channels)
    async with stack(**MARKED) as running:
        info = await running.stub.GetServerInfo(speech_pb2.GetServerInfoRequest())
        assert info.watermark == "spread"
        heard = await synthesize(running, TEXT, format=form, sound_options=options)
        assert heard.completed[0].finish_reason == EOS
    samples = np.frombuffer(heard.pcm, "<i2").reshape(-1, channels) / np.float32(32768)
    frames = heard.completed[0].usage.generated_frames
    speed = options.speed or 1.0
    assert len(samples) == pytest.approx(RATE * (frames * 0.08 / speed + 0.4), abs=2)
    assert heard.completed[0].kept_audio_ms == round(frames * 80 / speed) + 400
    mark = spread.make("the operator's")
    for channel in range(channels):
        assert mark.detect(samples[:, channel], RATE).found
    # Silence that was asked for carries it too.
    level = np.sqrt(np.convolve(samples[:, 0] ** 2, np.ones(2400) / 2400, "valid"))
    assert level.min() > spread.LEVEL / 2


async def test_without_one_the_server_says_so(running: Stack) -> None:
    info = await running.stub.GetServerInfo(speech_pb2.GetServerInfoRequest())
    assert info.watermark == ""


@pytest.mark.parametrize(
    "setting", ["no_such_package:make", f"{MODULE}:make", "gateway.sound.seams:fade_samples"]
)
async def test_a_gateway_whose_watermark_cannot_be_loaded_does_not_start(setting: str) -> None:
    with pytest.raises(ValueError, match="watermark"):
        async with stack(watermark=setting):
            pass


async def test_a_turn_whose_watermark_fails_ends_in_band_and_sends_nothing_without_it() -> None:
    async with stack(**BROKEN) as running:
        async with Conversation(running, conversation_id="broken") as call:
            await call.say("x" * 400)
            await call.end()
            completed = await call.until("turn_completed")
            assert completed.finish_reason == ERROR
            assert completed.error.code == INTERNAL
            assert "watermark" in completed.error.message
            heard = b"".join(a.audio for a in call.all("audio"))
            # Two chunks were marked before it failed.
            assert 0 < len(heard) <= 2 * 2 * 1920
            assert len(heard) / 2 * 1000 / RATE <= completed.kept_audio_ms <= 160
            await asyncio.sleep(0.1)
            assert len(b"".join(a.audio for a in call.all("audio"))) == len(heard)
            # The call goes on, and fares no better.
            await call.say("More of it, and on and on and on.")
            await call.end()
            assert (await call.until("turn_completed", 2)).finish_reason == ERROR
        assert len(await turns_of(running, "broken")) <= 2
        await running.settled()


async def test_a_single_text_fails_in_band_too() -> None:
    async with stack(**BROKEN) as running:
        heard = await synthesize(running, "x" * 400, max_lead_ms=200)
        assert heard.completed[0].finish_reason == ERROR
        assert heard.completed[0].error.code == INTERNAL
        await running.settled()


async def test_a_cancel_drops_what_waits_to_be_marked() -> None:
    async with stack(**MARKED) as running:
        running.generator.frame_s = 0.002
        async with Conversation(running, max_lead_ms=300) as call:
            await call.say("x" * 800)
            await call.until("audio", 3)
            await call.cancel(heard_ms=100)
            completed = await call.until("turn_completed")
            assert completed.kept_audio_ms == 160
        await running.settled()


def test_the_command_finds_it_by_the_settings_of_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from csm.cli.main import app

    mark = spread.make("k")
    stream = mark.stream(RATE)
    sound = np.zeros(3 * RATE, np.float32)
    soundfile.write(tmp_path / "marked.wav", np.append(stream.feed(sound), stream.finish()), RATE)
    soundfile.write(tmp_path / "plain.wav", 0.1 * np.sin(np.arange(RATE) / 9), RATE)
    monkeypatch.setenv("CSM_GATEWAY_WATERMARK", f"{MODULE}:make")
    monkeypatch.setenv("CSM_GATEWAY_WATERMARK_KEY", "k")
    told = CliRunner().invoke(app, ["watermark", "check", str(tmp_path / "marked.wav")])
    assert (told.exit_code, "spread found" in told.stdout) == (0, True), told.output
    told = CliRunner().invoke(app, ["watermark", "check", str(tmp_path / "plain.wav")])
    assert (told.exit_code, "spread not found" in told.stdout) == (2, True), told.output
    monkeypatch.setenv("CSM_GATEWAY_WATERMARK", "")
    told = CliRunner().invoke(app, ["watermark", "check", str(tmp_path / "plain.wav")])
    assert told.exit_code == 1
