"""The use cases in Python run against a server with the small voice that ships."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

import csm
from tests.csm.cli.test_serve import FREE, free_port, heed_interrupts, serving
from tests.csm.test_language_model import Endpoint
from tests.csm.test_language_model import endpoint as endpoint

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
WORDS = "The kettle is still warm if you want another cup."
PROMPT = ROOT / "docs" / "samples" / "pico-michael.ogg"


@dataclass(frozen=True)
class Place:
    """Where the server listens."""

    gateway: str
    http: str


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    http = f"127.0.0.1:{free_port()}"
    ports = [*FREE, "--metrics-port", "0", "--http-port", http.split(":")[1]]
    with serving(*ports) as server:
        yield Place(server.address("gateway"), http)


def command(example: str, *arguments: object) -> list[str]:
    return [sys.executable, str(EXAMPLES / example), *map(str, arguments)]


def run(example: str, *arguments: object, code: int = 0, typed: str = "", **more: object) -> str:
    """What the example printed."""
    done = subprocess.run(
        command(example, *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        input=typed,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | more,  # type: ignore[arg-type]
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def heard(file: Path, least_s: float = 0.3) -> np.ndarray:
    """The samples of a file in which somebody speaks."""
    samples, rate_hz = soundfile.read(file, dtype="float32")
    assert len(samples) / rate_hz >= least_s
    assert np.abs(samples).max() > 0.01
    return samples


def with_pauses(file: Path, source: Path = PROMPT) -> None:
    """A recording twice, with quiet before, between and behind."""
    samples, rate_hz = soundfile.read(source, dtype="float32")
    quiet = np.zeros(round(1.2 * rate_hz), np.float32)
    soundfile.write(file, np.concatenate([quiet, samples, quiet, samples, quiet]), rate_hz)


def test_every_example_is_short_and_shows_how_it_is_run() -> None:
    for file in EXAMPLES.glob("*.py"):
        assert len(file.read_text().splitlines()) <= 185, file
        assert file.name in (EXAMPLES / "README.md").read_text(), file


def test_a_batch_makes_what_is_missing_and_reports(place: Place, tmp_path: Path) -> None:
    texts, speech = tmp_path / "texts", tmp_path / "speech"
    texts.mkdir()
    for number in range(3):
        (texts / f"{number}.txt").write_text(f"Number {number}.")
    (texts / "bad.txt").write_text("\u6f22\u5b57")
    job = ("batch.py", texts, speech, "--jobs", 2, "--server", place.gateway)
    assert "4 texts, 1 failed" in run(*job, code=1)
    for number in range(3):
        heard(speech / f"{number}.wav")
    rows = list(csv.DictReader((speech / "report.csv").open()))
    assert [row["status"] for row in rows[:3]] == ["done"] * 3
    assert "text" in rows[3]["status"]
    assert float(rows[0]["audio_s"]) > 0.3
    before = (speech / "0.wav").stat().st_mtime_ns
    (texts / "bad.txt").write_text("Well.")
    run(*job)
    rows = list(csv.DictReader((speech / "report.csv").open()))
    assert [row["status"] for row in rows] == ["there"] * 3 + ["done"]
    assert (speech / "0.wav").stat().st_mtime_ns == before


def test_a_batch_that_is_stopped_leaves_no_half_file(place: Place, tmp_path: Path) -> None:
    texts, speech = tmp_path / "texts", tmp_path / "speech"
    texts.mkdir()
    (texts / "a.txt").write_text("Yes.")
    (texts / "b.txt").write_text("The river is wide here, and nobody knows why. " * 80)
    job = subprocess.Popen(
        command("batch.py", texts, speech, "--server", place.gateway),
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, preexec_fn=heed_interrupts,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while not (speech / "a.wav").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        job.send_signal(signal.SIGINT)
        _, errors = job.communicate(timeout=30)
    finally:
        job.kill()
    assert job.returncode == 130
    assert errors.strip().endswith("interrupted")
    assert sorted(os.listdir(speech)) == ["a.wav", "report.csv"]


def test_variations_have_a_manifest_and_go_on(place: Place, tmp_path: Path) -> None:
    sentences, folder = tmp_path / "s.txt", tmp_path / "data"
    sentences.write_text("Good morning.\n\nSee you.\n")
    said = ("augment.py", sentences, folder, "--voices", "heart,michael", "--server", place.gateway)
    run(*said, "-n", 2)
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    # As after a run that was killed while it wrote.
    (folder / "manifest.jsonl").write_text("\n".join([*lines[:3], lines[3][:20]]))
    assert "6 variations, 3 of them are there" in run(*said, "-n", 3)
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert sorted(row["audio_filepath"] for row in rows) == sorted(
        f"{text:05}-{copy:03}.flac" for text in range(2) for copy in range(3)
    )
    assert len({row["seed"] for row in rows}) == 6
    for row in rows:
        samples = heard(folder / row["audio_filepath"])
        assert row["duration"] == pytest.approx(len(samples) / row["sample_rate_hz"], abs=0.001)
    assert {row["voice"] for row in rows} == {"heart", "michael"}


def test_a_pace_changes_how_long_it_lasts(place: Place, tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("Good morning, how are you today?\n")
    said = ("augment.py", tmp_path / "s.txt", tmp_path / "data", "-n", 2, "--speeds", "1,2",
            "--temperatures", "0.01,0.01", "--server", place.gateway)  # fmt: skip
    run(*said)
    lines = (tmp_path / "data" / "manifest.jsonl").read_text().splitlines()
    lasts = {row["speed"]: row["duration"] for row in map(json.loads, lines)}
    assert lasts[2.0] < 0.75 * lasts[1.0]


def test_a_book_has_chapters_and_is_read_once(place: Place, tmp_path: Path) -> None:
    text, book = tmp_path / "book.md", tmp_path / "book"
    text.write_text("# One\n\n[voice: heart] Good morning.\n\n# Two\n\nIt was late.\n")
    said = ("audiobook.py", text, book, "--server", place.gateway)
    printed = run(*said)
    assert re.search(r"100% +2 of 2: Two", printed)
    assert "2 parts read" in printed
    for name in ("01-one.ogg", "02-two.ogg"):
        heard(book / name, 0.8)
    assert (book / "book.m3u8").read_text().splitlines()[2::2] == ["01-one.ogg", "02-two.ogg"]
    assert "0 parts read" in run(*said)
    # Of what a stopped run left, or an edit: only what is missing is read.
    text.write_text(text.read_text().replace("It was late.", "It was early."))
    assert "1 parts read" in run(*said)


def test_the_book_that_comes_with_it_has_three_readers() -> None:
    text = (EXAMPLES / "texts" / "fable.md").read_text()
    assert set(re.findall(r"\[voice: (\w+)\]", text)) == {"heart", "michael", "emma"}


def test_a_manner_is_measured_and_drawn(place: Place, tmp_path: Path) -> None:
    out, picture = tmp_path / "out.wav", tmp_path / "style.png"
    printed = run("style_transfer.py", PROMPT, WORDS, "Good morning, how are you?", out,
                  "--picture", picture, "--server", place.gateway)  # fmt: skip
    heard(out)
    pitch = re.search(r"the recording +(\d+) Hz", printed)
    assert pitch
    # A man's voice.
    assert 80 < int(pitch[1]) < 140
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_was_said_is_translated_and_spoken(place: Place, tmp_path: Path) -> None:
    question, words, out = (tmp_path / name for name in ("q.wav", "q.txt", "out.wav"))
    with_pauses(question)
    words.write_text("Guten Morgen. Wo ist der Bahnhof?\nVielen Dank!\n")
    printed = run("translate.py", question, out, "--recogniser", f"script:{words}",
                  "--server", place.gateway)  # fmt: skip
    assert "Good morning where is the station?" in printed
    assert "Thank you very much." in printed
    alone = heard(out, 1.5)
    run("translate.py", question, out, "--recogniser", f"script:{words}", "--keep-voice",
        "--server", place.gateway)  # fmt: skip
    assert not np.array_equal(heard(out, 1.0), alone)
    assert "is not allowed" in run("translate.py", question, out, "--recogniser", "none", code=1)


def test_words_are_recognised(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    printed = run("translate.py", PROMPT, out, "--server", place.gateway)
    assert len(printed.split()) > 4
    heard(out)


def test_an_assistant_hears_and_answers_recordings(
    place: Place, endpoint: Endpoint, tmp_path: Path
) -> None:
    out = tmp_path / "talk.wav"
    printed = run("voice_assistant.py", PROMPT, PROMPT, "--words", "Where is it?", "--words",
                  "And then?", "-o", out, "--server", place.gateway)  # fmt: skip
    assert "said:  Of course. The station is not far from here." in printed
    assert printed.count("eos") == 2
    assert printed.count("first audio after") == 2
    heard(out, 2.0)
    printed = run("voice_assistant.py", PROMPT, "--words", "What time is it?", "-o", out,
                  "--llm", endpoint.url, "--server", place.gateway)  # fmt: skip
    assert "said:  It is noon." in printed
    assert endpoint.asked[0]["messages"][-1]["content"] == "What time is it?"


MICROPHONE = '''
"""A `sounddevice` whose microphone gives a recording, and silence behind it."""
import threading, time
import numpy as np, soundfile

class InputStream:
    def __init__(self, rate_hz, blocksize, channels, callback):
        self.size, self.callback, self.ended = blocksize, callback, threading.Event()
        self.samples = soundfile.read("microphone.wav", dtype="float32")[0]
    def __enter__(self):
        threading.Thread(target=self.give, daemon=True).start()
    def __exit__(self, *_):
        self.ended.set()
    def give(self):
        first = 0
        while not self.ended.wait(0.0005 if first < len(self.samples) else 0.02):
            block = self.samples[first : first + self.size]
            first += self.size
            self.callback(np.pad(block, (0, self.size - len(block)))[:, None])
'''


def test_an_assistant_listens_to_the_microphone_until_it_is_stopped(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "sounddevice.py").write_text(MICROPHONE)
    samples, rate_hz = soundfile.read(PROMPT, dtype="float32")
    soundfile.write(tmp_path / "microphone.wav", np.interp(
        np.arange(0, len(samples), rate_hz / 16_000), np.arange(len(samples)), samples
    ), 16_000)  # fmt: skip
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    job = subprocess.Popen(
        command("voice_assistant.py", "-o", "talk.wav", "--server", place.gateway),
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
        preexec_fn=heed_interrupts, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert job.stdout is not None
        # It ends by the end of what it prints where it fails.
        for line in job.stdout:
            if "eos" in line:
                break
        job.send_signal(signal.SIGINT)
        _, errors = job.communicate(timeout=30)
    finally:
        job.kill()
    assert job.returncode == 130, errors
    assert "Traceback" not in errors
    heard(tmp_path / "talk.wav")


def test_a_chatbot_talks_over_the_websocket_and_goes_on_later(place: Place, tmp_path: Path) -> None:
    said = ("chatbot.py", "--server", place.http, "-o", tmp_path)
    printed = run(*said, typed="Where is the station?\nThank you.\n")
    assert "Of course. The station is not far from here." in printed
    assert printed.count("eos") == 2
    for number in (1, 2):
        heard(tmp_path / f"answer-0{number}.wav", 1.0)
    conversation = re.search(r"conversation (\S+)", printed)
    assert conversation
    run(*said, "--conversation", conversation[1], typed="Hello.\n")
    with csm.Client(place.gateway) as client:
        turns = client.get_conversation(conversation[1]).turns
    assert [turn.text for turn in turns if turn.heard] == [
        "Where is the station?", "Thank you.", "Hello."
    ]  # fmt: skip
    assert len(turns) == 6
    assert "voice" in run(*said, "--voice", "nobody", code=1)


def test_an_example_runs_without_a_server_where_it_is_told_to(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("Yes.")
    run("batch.py", texts, tmp_path / "speech", "--local", OMP_NUM_THREADS="1")
    heard(tmp_path / "speech" / "a.wav")
    assert "127.0.0.1:1" in run("batch.py", texts, tmp_path / "no", "--server", "127.0.0.1:1",
                                code=1)  # fmt: skip
