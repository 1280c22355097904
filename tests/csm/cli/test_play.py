"""`csm play`, `csm speak --play` and `csm chat`, with a loudspeaker that is none."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.csm.cli.conftest import Csm, chirp
from tests.csm.cli.fake_sounddevice import FakeSoundDevice
from tests.csm.cli.test_serve import FREE, serving
from tests.csm.test_language_model import Endpoint
from tests.csm.test_language_model import endpoint as endpoint


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    with serving(*FREE, "--metrics-port", "0") as server:
        yield server.address("gateway")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeSoundDevice:
    fake = FakeSoundDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def test_a_file_is_played_whole(csm: Csm, device: FakeSoundDevice, tmp_path: Path) -> None:
    file = tmp_path / "x.flac"
    soundfile.write(file, chirp(16_000, 1.3), 16_000)
    for arguments, more in ((("play", file), {}), (("play", "-"), {"input": file.read_bytes()})):
        device.played.clear()
        result = csm(*arguments, **more)
        assert result.exit_code == 0, result.output
        played = np.concatenate(device.played)
        assert device.rates_hz[-1] == 16_000
        assert np.allclose(played, soundfile.read(file, dtype="float32")[0], atol=1e-4)


@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (None, ("'sounddevice' is missing", "csm-server[play]")),
        (FakeSoundDevice(has_device=False), ("no output device", "Error querying device")),
    ],
    ids=["no package", "no device"],
)
def test_where_nothing_can_be_played_it_is_said_before_the_work(
    csm: Csm, monkeypatch: pytest.MonkeyPatch, fake: Any, words: tuple[str, ...], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    file = tmp_path / "x.wav"
    soundfile.write(file, chirp(16_000, 0.3), 16_000)
    for arguments in (("play", file), ("speak", "Hi.", "--play"), ("chat",)):
        result = csm(*arguments)
        assert result.exit_code == 1
        for word in words:
            assert word in result.stderr
        assert "loading" not in result.stderr


def test_what_is_no_audio_is_not_played(csm: Csm, device: FakeSoundDevice, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("no audio")
    for file in ("x.wav", "none.wav"):
        result = csm("play", tmp_path / file)
        assert result.exit_code == 1
        assert file in result.stderr
    assert not device.played


def test_a_text_is_played_and_written_only_where_it_is_asked_for(
    csm: Csm, device: FakeSoundDevice, gateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = ("speak", "Hello.", "--play", "--seed", 1, "--server", gateway)
    result = csm(*said)
    assert result.exit_code == 0, result.output
    assert not os.listdir(tmp_path)
    alone = np.concatenate(device.played)
    assert np.abs(alone).max() > 0.01
    device.played.clear()
    assert csm(*said, "-o", "x.wav").exit_code == 0
    assert np.array_equal(np.concatenate(device.played), alone)
    written, rate_hz = soundfile.read(tmp_path / "x.wav", dtype="float32")
    assert rate_hz == device.rates_hz[-1]
    assert np.allclose(written, alone, atol=1e-4)


def test_lines_are_spoken_in_one_conversation(
    csm: Csm, device: FakeSoundDevice, gateway: str, tmp_path: Path
) -> None:
    file = tmp_path / "talk.wav"
    result = csm("chat", "--server", gateway, "--voice", "michael", "-o", file,
                 input="Hello.\n\nHow are you?\n")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "voice michael" in result.stderr
    assert result.stderr.count(" s\n") == 2
    played = np.concatenate(device.played)
    assert np.abs(played).max() > 0.01
    assert len(played) == soundfile.info(file).frames


def test_a_language_model_answers_and_its_answer_is_shown_and_spoken(
    csm: Csm, gateway: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    file = tmp_path / "talk.wav"
    result = csm("chat", "--server", gateway, "--llm", endpoint.url, "-o", file, "--quiet",
                 input="What time is it?\nSure?\n")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == "It is noon.\n" * 2
    assert soundfile.info(file).frames > 2 * 1920 * 3
    assert [one["messages"][-1]["content"] for one in endpoint.asked] == [
        "What time is it?", "Sure?"
    ]  # fmt: skip
    endpoint.status = 503
    result = csm("chat", "--server", gateway, "--llm", endpoint.url, "--llm-model", "m",
                 "-o", file, "--quiet", input="Hello?\nHello?\n")  # fmt: skip
    assert result.exit_code == 1
    assert result.stderr.count("503") == 2


def test_a_mistake_of_chat_is_named(csm: Csm, tmp_path: Path) -> None:
    for arguments, word in (
        (("--quiet",), "--output"),
        (("-o", tmp_path / "x.mp3"), ".wav"),
        (("-o", tmp_path / "x.wav", "--llm", "ftp://x", "--server", "127.0.0.1:1"), "'ftp://x'"),
    ):
        result = csm("chat", *arguments)
        assert result.exit_code == 1
        assert word in result.stderr
