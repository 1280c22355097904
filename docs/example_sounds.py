"""Makes the sounds of the examples: `python docs/example_sounds.py`, with the voice that ships.

They are docs/samples/examples/*.opus and style_transfer.png; each example runs as its help says.
Needs ffmpeg and the extra `dev`.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from csm.audio.files import read_audio, write_audio
from services.all_in_one import AllInOne

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "docs" / "samples"
PROMPT = SAMPLES / "pico-michael.ogg"
WORDS = "I left my umbrella on the bus again this morning."
RATE_HZ = 24_000
PAUSE_S = 0.5


async def run(folder: Path, example: str, *arguments: object, typed: str = "") -> None:
    """Run an example in `folder`; where it fails, what it printed is the error's."""
    job = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "examples" / example), *map(str, arguments),
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await job.communicate(typed.encode())
    if job.returncode:
        raise RuntimeError(f"{example}: {printed.decode()}")


def keep(name: str, files: Iterable[Path]) -> None:
    """Write what stands in `files`, one after another, as a sound of the examples."""
    quiet = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    parts = [
        part for file in sorted(files) for part in (read_audio(file, max_seconds=None)[0], quiet)
    ]
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.wav"
        write_audio(whole, np.concatenate(parts[:-1]), RATE_HZ)
        target = SAMPLES / "examples" / f"{name}.opus"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-i", whole, "-c:a", "libopus", "-b:a", "24k", target],
            check=True,
        )


async def make(grpc: str, http: str, work: Path) -> None:
    """Run every example against a server and keep what it said."""
    server = ("--server", grpc)
    await run(work, "voice_assistant.py", PROMPT, "--words", "Where is the station?",
              "-o", "talk.wav", *server)  # fmt: skip
    keep("voice_assistant", [work / "talk.wav"])
    (work / "frage.txt").write_text("Guten Morgen. Wo ist der Bahnhof?\nVielen Dank!\n")
    await run(work, "translate.py", PROMPT, "english.wav", "--recogniser", "script:frage.txt",
              *server)  # fmt: skip
    keep("translate", [work / "english.wav"])
    await run(work, "audiobook.py", ROOT / "examples" / "texts" / "fable.md", "book", *server)
    keep("audiobook", (work / "book").glob("*.ogg"))
    picture = SAMPLES / "examples" / "style_transfer.png"
    await run(work, "style_transfer.py", PROMPT, WORDS, "Good morning, how are you today?",
              "style.wav", "--picture", picture, *server)  # fmt: skip
    keep("style_transfer", [work / "style.wav"])
    (work / "sentences.txt").write_text("The kettle is still warm if you want another cup.\n")
    await run(work, "augment.py", "sentences.txt", "data", "-n", 4, "--voices", "heart,michael",
              "--speeds", "0.9,1,1.1", *server)  # fmt: skip
    keep("augment", (work / "data").glob("*.flac"))
    await run(work, "chatbot.py", "-o", "answers", "--server", http,
              typed="Where is the station?\n")  # fmt: skip
    keep("chatbot", (work / "answers").glob("*.wav"))
    (work / "texts").mkdir()
    for number, text in enumerate(("Your table is ready.", "Please follow me.")):
        (work / "texts" / f"{number}.txt").write_text(text)
    await run(work, "batch.py", "texts", "speech", "--jobs", 2, *server)
    keep("batch", (work / "speech").glob("*.wav"))


async def main() -> None:
    """All sounds."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with AllInOne(
        model=ROOT / "models" / "pico", threads=1, gateway={"http_port": port}
    ) as stack:
        http = f"127.0.0.1:{port}"
        with tempfile.TemporaryDirectory() as folder:
            await make(stack.address, http, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
