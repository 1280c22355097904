"""A folder of texts to a folder of speech, several at a time, with a report.

    python examples/batch.py texts/ speech/ --jobs 8

Each FILE.txt becomes FILE.wav (or --format flac, ogg, mp3). A file is put in place when it is
whole, so a job that is stopped leaves no half of one, and the next run makes what is missing.
A full server is asked again when it said to come back. `report.csv` says how each text fared.
"""

import argparse
import asyncio
import csv
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from connection import arguments_of, connected, run

from csm import AsyncClient, QueueFull, ServiceError
from csm.audio.files import write_audio

PATIENCE_S = 300.0
"""A text waits so long for a place at the server."""


@dataclass
class Row:
    """A line of the report."""

    file: str
    status: str = ""
    """`done`, `there` (made by an earlier run), or what failed."""
    audio_s: float = 0.0
    took_s: float = 0.0
    refused: int = 0
    """How often the server was full."""
    warnings: str = ""


def is_newer(target: Path, source: Path) -> bool:
    """Whether the target is there and made after its source was last changed."""
    return target.exists() and target.stat().st_mtime >= source.stat().st_mtime


async def speak(client: AsyncClient, source: Path, target: Path, voice: str, row: Row) -> None:
    """Speaks a text into a file that is there whole or not at all."""
    text = source.read_text("utf-8")  # noqa: ASYNC240 (it is short)
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            speech = client.synthesize(text, voice=voice)
            samples = await speech.read_all()
            break
        except QueueFull as error:
            row.refused += 1
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(error.retry_after_s or 1.0)
    assert speech.started is not None
    assert speech.completed is not None
    part = target.with_name(f".part-{target.name}")
    try:
        rate_hz = speech.started.format.sample_rate_hz
        write_audio(part, samples, rate_hz)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    row.audio_s = round(len(samples) / rate_hz, 2)
    row.warnings = "; ".join(one.description for one in speech.completed.warnings)


async def main(arguments: argparse.Namespace) -> int:
    """Runs the job; 1 where a text failed."""
    arguments.speech.mkdir(parents=True, exist_ok=True)
    texts = sorted(arguments.texts.glob("*.txt"))
    rows = [Row(path.name) for path in texts]
    places = asyncio.Semaphore(arguments.jobs)
    began = time.monotonic()

    async def work(path: Path, row: Row) -> None:
        target = arguments.speech / f"{path.stem}.{arguments.format}"
        if is_newer(target, path):
            row.status = "there"
            return
        async with places:
            start = time.monotonic()
            try:
                await speak(client, path, target, arguments.voice, row)
                row.status = "done"
            except (ServiceError, OSError, ValueError) as error:
                row.status = str(error)
            row.took_s = round(time.monotonic() - start, 2)
            print(f"{row.file}: {row.status}, {row.audio_s} s of audio in {row.took_s} s")

    try:
        async with connected(arguments) as client, asyncio.TaskGroup() as group:
            for path, row in zip(texts, rows, strict=True):
                group.create_task(work(path, row))
    finally:
        # Of a job that was stopped too.
        with (arguments.speech / "report.csv").open("w", newline="") as file:
            report = csv.DictWriter(file, [one.name for one in fields(Row)])
            report.writeheader()
            report.writerows(asdict(row) for row in rows)
    audio_s, took_s = sum(row.audio_s for row in rows), time.monotonic() - began
    failed = sum(row.status not in ("done", "there") for row in rows)
    print(
        f"{len(rows)} texts, {failed} failed: {audio_s:.1f} s of audio in {took_s:.1f} s, "
        f"{audio_s / took_s:.1f} times real time"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    parser = arguments_of(__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--jobs", type=int, default=4, help="texts at a time (default: 4)")
    parser.add_argument("--voice", default="")
    parser.add_argument("--format", choices=("wav", "flac", "ogg", "mp3"), default="wav")
    run(main, parser.parse_args())
