"""Data augmentation: each sentence N times, by seed, voice and pace, with a manifest.

    python examples/augment.py sentences.txt data/ -n 20 --voices heart,michael --speeds 0.9,1,1.1

`sentences.txt` has one sentence a line. `manifest.jsonl` has a line a file, as trainers of
recognisers read it: audio_filepath, duration, text, and how it was made, so that each can be made
again. A run that is stopped goes on where it was. The variations depend on --seed alone.
"""

import argparse
import asyncio
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connection import arguments_of, connected, run

from csm import AsyncClient, SoundOptions
from csm.audio.files import write_audio


def variations(texts: list[str], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What to make: voices and paces in turn, seeds and temperatures drawn."""
    for number, text in enumerate(texts):
        # By the text alone: another sentence before it changes nothing.
        draw = random.Random(f"{arguments.seed} {text}")
        for copy in range(arguments.n):
            speeds = arguments.speeds
            yield {
                "audio_filepath": f"{number:05}-{copy:03}.flac",
                "text": text,
                "voice": arguments.voices[copy % len(arguments.voices)],
                "speed": speeds[copy // len(arguments.voices) % len(speeds)],
                "seed": draw.randrange(1 << 31),
                "temperature": round(draw.uniform(*arguments.temperatures), 2),
            }


async def make(client: AsyncClient, row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Speaks one variation into its file; the row with its length."""
    speech = client.synthesize(
        row["text"],
        voice=row["voice"],
        seed=row["seed"],
        temperature=row["temperature"],
        sound_options=SoundOptions(speed=row["speed"]),
    )
    samples = await speech.read_all()
    assert speech.started is not None
    rate_hz = speech.started.format.sample_rate_hz
    part = folder / f".part-{row['audio_filepath']}"
    try:
        write_audio(part, samples, rate_hz)
        os.replace(part, folder / row["audio_filepath"])
    finally:
        part.unlink(missing_ok=True)
    return row | {"duration": round(len(samples) / rate_hz, 3), "sample_rate_hz": rate_hz}


def made(manifest: Path) -> list[dict[str, Any]]:
    """What an earlier run has made; a last line that was cut off is not."""
    rows = []
    for line in manifest.read_text("utf-8").splitlines() if manifest.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if (manifest.parent / row["audio_filepath"]).exists():
            rows.append(row)
    return rows


async def main(arguments: argparse.Namespace) -> None:
    """Makes what is missing."""
    arguments.folder.mkdir(parents=True, exist_ok=True)
    lines = arguments.sentences.read_text("utf-8").splitlines()
    wanted = list(variations([line.strip() for line in lines if line.strip()], arguments))
    manifest = arguments.folder / "manifest.jsonl"
    rows = [row for row in made(manifest) if any(one.items() <= row.items() for one in wanted)]
    there = {row["audio_filepath"] for row in rows}
    missing = [one for one in wanted if one["audio_filepath"] not in there]
    print(f"{len(wanted)} variations, {len(rows)} of them are there")
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")

    places = asyncio.Semaphore(arguments.jobs)

    async def work(one: dict[str, Any]) -> None:
        async with places:
            row = await make(client, one, arguments.folder)
        with manifest.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(row)}\n")
        rows.append(row)
        print(f"\r{len(rows)} of {len(wanted)}", end="", flush=True)

    async with connected(arguments) as client, asyncio.TaskGroup() as group:
        for one in missing:
            group.create_task(work(one))
    print(f"\n{sum(row['duration'] for row in rows):.1f} s of audio; {manifest}")


if __name__ == "__main__":

    def numbers(given: str) -> list[float]:
        """Numbers with commas between."""
        return [float(one) for one in given.split(",")]

    parser = arguments_of(__doc__)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-n", type=int, default=10, help="variations of each (default: 10)")
    parser.add_argument("--voices", type=lambda given: given.split(","), default=[""])
    parser.add_argument("--speeds", type=numbers, default=[1.0], help="0.5..2, e.g. 0.9,1,1.1")
    parser.add_argument("--temperatures", type=numbers, default=[0.6, 0.9], help="from,to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=4, help="at a time (default: 4)")
    run(main, parser.parse_args())
