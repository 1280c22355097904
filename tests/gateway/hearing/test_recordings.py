"""Whether recordings say their words. What listens needs pocketsphinx and is skipped without it."""

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from csm.audio.files import read_audio
from gateway.hearing.recognition import process
from gateway.hearing.recognition.process import JudgingProcess, available
from gateway.hearing.recordings import OTHER_WORDS, CheckRecordings, RecordingCheck

SAMPLES = Path(__file__).parents[3] / "docs" / "samples"
TEXTS = {
    "pico-heart.ogg": "The kettle is still warm if you want another cup.",
    "pico-michael.ogg": "I left my umbrella on the bus again this morning.",
    "pico-fable.ogg": "My sister moved here two summers ago and loves it.",
}
listens = pytest.mark.skipif(not available(), reason="pocketsphinx is not installed")


@listens
async def test_words_of_another_text_are_told_and_the_right_ones_are_not() -> None:
    check = RecordingCheck("words")
    names = list(TEXTS)
    try:
        for name, other in zip(names, names[1:] + names[:1], strict=True):
            audio = (SAMPLES / name).read_bytes()
            assert await check.words_problem(audio, TEXTS[name]) is None
            assert await check.words_problem(audio, TEXTS[other]) == OTHER_WORDS
    finally:
        await check.close()


@listens
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Der Kessel ist noch warm, falls du noch eine Tasse willst.", ""),
        ("The kettle is cold now and you want no cup.", "de-DE"),
        ("No kettle.", "en"),
        ("", "en"),
    ],
)
async def test_what_cannot_be_judged_is_not_told(text: str, language: str) -> None:
    check = RecordingCheck("words")
    audio = (SAMPLES / "pico-heart.ogg").read_bytes()
    assert await check.words_problem(audio, text, language) is None
    await check.close()


@listens
async def test_noise_a_telephone_and_what_is_no_audio_are_not_judged() -> None:
    check = RecordingCheck("words")
    file = io.BytesIO()
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    soundfile.write(file, noise, 16_000, format="WAV")
    line = io.BytesIO()
    speech, _ = read_audio(SAMPLES / "pico-michael.ogg", max_seconds=30, rate_hz=8_000)
    soundfile.write(line, speech, 8_000, format="WAV")
    for audio in (file.getvalue(), line.getvalue(), b"no audio at all", b""):
        assert await check.words_problem(audio, TEXTS["pico-heart.ogg"]) is None
    await check.close()


@pytest.mark.parametrize("setting", ["off", "length"])
async def test_nobody_listens_where_the_setting_says_so(setting: CheckRecordings) -> None:
    check = RecordingCheck(setting)
    audio = (SAMPLES / "pico-heart.ogg").read_bytes()
    assert await check.words_problem(audio, TEXTS["pico-michael.ogg"]) is None
    wrong = check.length_problem("The quick brown fox jumps over the lazy dog.", 0.5)
    assert (wrong is None) == (setting == "off")


class _Fake(JudgingProcess):
    """Counts what it is asked, and answers when it is told to."""

    def __init__(self, verdict: str | None) -> None:
        super().__init__()
        self.verdict = verdict
        self.asked = 0
        self.go = asyncio.Event()

    async def _asked(self, audio: bytes, text: str) -> str | None:
        self.asked += 1
        await self.go.wait()
        return self.verdict


async def test_the_same_recording_with_the_same_words_is_judged_once() -> None:
    judging = _Fake("wrong")
    judging.go.set()
    assert await judging.wrong(b"a", "one")
    assert await judging.wrong(b"a", "one")
    assert judging.asked == 1
    await judging.wrong(b"a", "two")
    await judging.wrong(b"b", "one")
    assert judging.asked == 3


async def test_what_failed_is_not_remembered() -> None:
    judging = _Fake(None)
    judging.go.set()
    assert not await judging.wrong(b"a", "one")
    judging.verdict = "wrong"
    assert await judging.wrong(b"a", "one")


async def test_no_more_than_a_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MAX_WAITING", 2)
    judging = _Fake("wrong")
    waiting = [asyncio.create_task(judging.wrong(bytes([n]), "one")) for n in range(2)]
    await asyncio.sleep(0)
    assert not await judging.wrong(b"more", "one")
    judging.go.set()
    assert await asyncio.gather(*waiting) == [True, True]


async def test_a_process_that_gives_no_verdict_is_ended_and_the_next_one_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_MODULE", "this")  # prints a poem and ends
    judging = JudgingProcess()
    assert not await judging.wrong(b"a", "one")
    assert judging._process is None
    monkeypatch.setattr(process, "JUDGE_TIMEOUT_S", 0.3)
    monkeypatch.setattr(process, "_MODULE", "json.tool")  # waits for more
    assert not await judging.wrong(b"a", "one")
    assert judging._process is None
    await judging.close()


async def test_who_goes_meanwhile_leaves_no_answer_to_the_next() -> None:
    if not available():
        pytest.skip("pocketsphinx is not installed")
    judging = JudgingProcess()
    audio = (SAMPLES / "pico-heart.ogg").read_bytes()
    gone = asyncio.create_task(judging.wrong(audio, TEXTS["pico-michael.ogg"]))
    await asyncio.sleep(0.3)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert not await judging.wrong(audio, TEXTS["pico-heart.ogg"])
    await judging.close()
