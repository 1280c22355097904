"""`csm voices add`, `show`, `list`, `test` and `remove` at a real server, with pico behind it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import soundfile

from csm.cli.reporting import CommandError
from csm.cli.voice_making import words_of
from csm.client import AsyncClient
from services.all_in_one import AllInOne
from tests.csm.cli.conftest import PICO, ROOT, Csm

HELLO = ROOT / "docs" / "samples" / "hello.flac"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[str]:
    kept = {"created_voices_directory": tmp_path / "kept", "voice_aliases": "alloy=anna"}
    async with AllInOne(model=PICO, slots=2, threads=1, gateway=kept) as running:
        yield running.address


async def test_a_voice_is_made_shown_tried_and_removed(
    server: str, csm: Csm, tmp_path: Path
) -> None:
    async def run(*arguments: object) -> str:
        result = await asyncio.to_thread(csm, "voices", *arguments, "--server", server)
        assert result.exit_code == 0, result.output
        return result.output

    given = ("-r", HELLO, "--text", "Hello there, this is how I sound.", "--speaker", 0)
    said = await run("add", "anna", *given, "--check")
    assert said.startswith("anna could be made: speaker 0")
    assert "anna" not in await run("list")
    said = await run(
        "add", "anna", *given, "--description", "calm", "--language", "en", "-t", 0.7,
        "--consent", "yes, for tests", "--given-by", "Anna",
    )  # fmt: skip
    assert said.startswith("anna is made")
    report = re.search(r"recording 1 +([\d.]+) s, (-[\d.]+) LUFS, peak (-[\d.]+) dBFS", said)
    assert report
    assert float(report[1]) == pytest.approx(soundfile.info(HELLO).duration, abs=0.06)
    assert -40 < float(report[2]) < -10
    assert re.search(r"anna +speaker 0, 1 prompt segments, en, also alloy: calm", await run("list"))
    assert await run("list", "--name", "ALLO") == await run("list", "--language", "en")
    shown = await run("show", "alloy")
    for line in ("source +created", "sampling +temperature 0.7", "consent +Anna: yes, for tests"):
        assert re.search(line, shown), shown
    details = json.loads(await run("show", "anna", "--json"))
    assert details["voice"]["description"] == "calm"
    assert details["recordings"][0]["text"] == "Hello there, this is how I sound."
    file = tmp_path / "said.wav"
    tried = await run("test", "anna", "--text", "Good evening.", "--seed", 1, "-o", file)
    loudness = re.search(r"loudness +(-[\d.]+) LUFS", tried)
    assert loudness
    # Not as the gateway evens it: pico speaks at -25.7 to -26.8 LUFS.
    assert float(loudness[1]) < -23
    assert -50 < float(loudness[1]) < -10
    assert re.search(r"recordings +-[\d.]+ LUFS", tried)
    length = re.search(r"audio length +([\d.]+) s", tried)
    assert length
    assert soundfile.info(file).duration == pytest.approx(float(length[1]), abs=0.01)
    assert await run("remove", "anna") == "anna is removed\n"
    assert "anna" not in await run("list")


async def test_a_voices_prompt_is_computed_once_for_all_conversations(server: str) -> None:
    async with AsyncClient(server) as client:
        await client.create_voice("anna", [(HELLO, "Hello there, this is how I sound.")])
        usages = []
        for conversation_id in ("one", "two", "three"):
            speech = client.synthesize(
                "Good evening.", voice="anna", conversation_id=conversation_id, max_audio_ms=400
            )
            await speech.read_all()
            assert speech.completed is not None
            usages.append(speech.completed.usage)
    assert usages[0].reused_frames == 0
    # Whole chunks of 64 positions of the prompt's 39 frames and its words, and of the sentence.
    assert [usage.reused_frames for usage in usages[1:]] == [64, 64]


async def test_what_is_wrong_is_one_line(server: str, csm: Csm, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no audio at all")
    for arguments, told in (
        (("add", "a b"), "config.name: 'a b' is no name for a voice"),
        (("add", "heart"), "there is a voice 'heart' already, the model's"),
        (("add", "a", "-r", tmp_path / "a.wav", "--text", "Hello."), "recordings[0].audio"),
        (("add", "a", "-r", tmp_path / "a.wav"), "say its words with --text, or in a file"),
        (("add", "a", "-r", tmp_path / "none.wav", "--text", "Hello."), "No such file"),
        (("add", "a", "--consent", "yes"), "--consent and --given-by"),
        (("remove", "heart"), "is the model's; allowed are voices that CreateVoice made"),
        (("show", "none"), "voice 'none' is not known"),
        (("test", "none"), "voice 'none' is not known"),
    ):
        result = await asyncio.to_thread(csm, "voices", *arguments, "--server", server)
        assert result.exit_code == 1
        assert told in result.output, result.output
        assert "Traceback" not in result.output


async def test_a_recording_of_31_s_and_one_of_silence_are_refused_and_one_of_8_khz_is_read(
    server: str, csm: Csm, tmp_path: Path
) -> None:
    import numpy as np

    speech, rate_hz = soundfile.read(HELLO)
    soundfile.write(tmp_path / "long.wav", np.resize(speech, 31 * rate_hz), rate_hz)
    soundfile.write(tmp_path / "silent.wav", np.zeros(2 * rate_hz), rate_hz)
    soundfile.write(tmp_path / "slow.wav", speech[::3], rate_hz // 3)
    for name, told in (
        ("long", "recordings[0].audio: is longer than 30 s, the most that is allowed"),
        ("silent", "recordings[0].audio: it is silent"),
        ("slow", "slow could be made"),
    ):
        result = await asyncio.to_thread(
            csm, "voices", "add", name, "-r", tmp_path / f"{name}.wav", "--text", "Hello there.",
            "--check", "--server", server,
        )  # fmt: skip
        assert told in result.output, result.output


def test_words_come_from_the_command_or_from_the_file_beside(tmp_path: Path) -> None:
    one, two = tmp_path / "one.wav", tmp_path / "two.flac"
    one.with_suffix(".txt").write_text("The first\nwords.\n")
    two.with_suffix(".txt").write_text("The second.")
    assert words_of([one, two], []) == ["The first words.", "The second."]
    assert words_of([one], ["Others."]) == ["Others."]
    with pytest.raises(CommandError, match="1 for 2 recordings"):
        words_of([one, two], ["Others."])
