"""An audiobook from a text file: chapters, several voices, a playlist; stopped, it goes on.

    python examples/audiobook.py examples/texts/fable.md book/

A line `# Title` begins a chapter, and `[voice: michael]` says who reads from there on
(docs/text.md). Each chapter is a file, `book.m3u8` plays them in order. A book is read in parts of
a few paragraphs, which are kept in `book/parts` under a digest of their text, voice and seed: a run
that was stopped reads only what is missing, and after an edit only what changed is read again.
"""

import argparse
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from connection import arguments_of, connected, run

from csm import AsyncClient
from csm.audio.files import read_audio, write_audio

PART_CHARS = 600
"""A part ends with the paragraph that goes beyond; short ones lose less when a run is stopped."""
PAUSE_S = 0.6
"""Between two parts."""
VOICE_TAG = re.compile(r"\[(?:voice[ \t]*[:=][^\[\]\n]{1,80}|/voice)\]", re.IGNORECASE)


@dataclass(frozen=True)
class Chapter:
    """A chapter: its title, and its text in parts, each with who reads it in front."""

    title: str
    parts: tuple[str, ...]


def chapters(book: str) -> Iterator[Chapter]:
    """The chapters of a book; text before the first title is one too."""
    title, tag = "Beginning", ""
    for piece in re.split(r"^(#+ .*)$", book, flags=re.MULTILINE):
        if piece.startswith("#"):
            title = piece.lstrip("# ").strip()
            continue
        parts, part = [], f"{tag}{title}."
        for paragraph in re.split(r"\n\s*\n", piece.strip()):
            part = f"{part}\n\n{paragraph}" if part else f"{tag}{paragraph}"
            # Who speaks last reads on in the next part.
            tag = (VOICE_TAG.findall(paragraph) or [tag])[-1]
            if len(part) >= PART_CHARS:
                parts.append(part)
                part = ""
        if part:
            parts.append(part)
        if piece.strip():
            yield Chapter(title, tuple(parts))


async def read_part(client: AsyncClient, text: str, file: Path, voice: str, seed: int) -> None:
    """Reads a part into a file that is there whole or not at all."""
    speech = client.synthesize(text, voice=voice, seed=seed)
    samples = await speech.read_all()
    assert speech.started is not None
    unfinished = file.with_name(f".{file.name}")
    try:
        write_audio(unfinished, samples, speech.started.format.sample_rate_hz)
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def bind(parts: list[Path], target: Path) -> float:
    """The parts in one file; seconds."""
    read = [read_audio(part, max_seconds=None) for part in parts]
    rate_hz = read[0][1]
    pause = np.zeros(round(PAUSE_S * rate_hz), np.float32)
    samples = np.concatenate([piece for one, _ in read for piece in (one, pause)])
    unfinished = target.with_name(f".{target.name}")
    write_audio(unfinished, samples, rate_hz)
    os.replace(unfinished, target)
    return len(samples) / rate_hz


async def main(arguments: argparse.Namespace) -> None:
    """Reads what is missing, then binds the chapters."""
    book = list(chapters(arguments.text.read_text("utf-8")))
    if not book:
        raise ValueError(f"{arguments.text}: has no text")
    kept = arguments.book / "parts"
    kept.mkdir(parents=True, exist_ok=True)
    total = sum(len(part) for chapter in book for part in chapter.parts)
    done = made = 0
    playlist = ["#EXTM3U"]
    async with connected(arguments) as client:
        for number, chapter in enumerate(book, start=1):
            files = []
            for part in chapter.parts:
                key = f"{arguments.voice}\0{arguments.seed}\0{part}"
                file = kept / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.flac"
                if not file.exists():
                    await read_part(client, part, file, arguments.voice, arguments.seed)
                    made += 1
                files.append(file)
                done += len(part)
                print(f"{done / total:4.0%}  {number} of {len(book)}: {chapter.title}", flush=True)
            slug = re.sub(r"\W+", "-", chapter.title.lower()).strip("-")[:40]
            target = arguments.book / f"{number:02}-{slug}.{arguments.format}"
            seconds = bind(files, target)
            playlist += [f"#EXTINF:{seconds:.0f},{chapter.title}", target.name]
    (arguments.book / "book.m3u8").write_text("\n".join([*playlist, ""]), "utf-8")
    print(f"{len(book)} chapters; {made} parts read, the others were there")


if __name__ == "__main__":
    parser = arguments_of(__doc__)
    parser.add_argument("text", type=Path, help="UTF-8; Markdown, or plain with '# Title' lines")
    parser.add_argument("book", type=Path, help="the folder to make")
    parser.add_argument("--voice", default="", help="who reads where the text does not say")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--format", choices=("ogg", "mp3", "flac", "wav"), default="ogg")
    run(main, parser.parse_args())
