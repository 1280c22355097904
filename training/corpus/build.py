"""The stage `corpus`: every sentence by one teacher, in parts that a stopped run goes on with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS, PartWriter
from training.corpus.teachers.festival import Festival
from training.corpus.teachers.flite import Flite
from training.corpus.teachers.speech import Speech, TeacherError, prepare
from training.tokenizer import normalize

_PART_SENTENCES = 400
# Longer than what a turn of the language model may hold in training; a clause splits before it.
_MAX_SECONDS = 14


class Teacher(Protocol):
    def speak(self, texts: list[str]) -> Iterator[Speech]: ...


def teacher(speaker: str) -> Teacher:
    """The teacher of a speaker of `store.SPEAKERS`.

    Raises:
        ValueError: there is no such speaker.
        TeacherError: its program is not installed.
    """
    if speaker == "slt":
        return Festival("cmu_us_slt_arctic_hts")
    voices = {"rms": "cmu_us_rms", "awb": "cmu_us_awb", "kal": "cmu_us_kal16"}
    if speaker not in voices:
        raise ValueError(f"speaker is {speaker!r}; allowed: {', '.join(SPEAKERS)}")
    return Flite(voices[speaker])


@dataclass(frozen=True)
class Part:
    """One file's worth of work."""

    name: str
    speaker: str
    texts: tuple[str, ...]


def plan(split: str, sentences: list[str], seed: int) -> list[Part]:
    """Give every sentence of the training split one speaker, every other sentence all of them.

    The same normalised text twice is kept once; one that the front end would change again ("suvs"
    is read "s u vs", and "vs" alone "versus") is left out: the model shall see what was spoken.
    Parts come in the order in which they are worth having: the first part of every speaker, then
    the second.
    """
    texts = list(dict.fromkeys(t for t in map(normalize, sentences) if any(map(str.isalpha, t))))
    texts = [text for text in texts if normalize(text) == text]
    if split == "train":
        random.Random(seed).shuffle(texts)
        shares = {name: texts[i :: len(SPEAKERS)] for i, name in enumerate(SPEAKERS)}
    else:
        shares = dict.fromkeys(SPEAKERS, texts)
    parts = [
        (start, Part(f"{split}-{name}-{start // _PART_SENTENCES:03d}", name, tuple(share)))
        for name, all_of_it in shares.items()
        for start in range(0, len(all_of_it), _PART_SENTENCES)
        for share in [all_of_it[start : start + _PART_SENTENCES]]
    ]
    return [part for _, part in sorted(parts, key=lambda p: p[0])]


def speak_part(directory: Path, part: Part) -> tuple[int, int]:
    """Speak one part to disk unless it is there; returns its utterances, and how many are left out.

    A sentence that a teacher cannot say, or that grows too long, is left out.
    """
    done_file = directory / f"{part.name}.done"
    if done_file.exists():
        return int(done_file.read_text()), 0
    writer, skipped, whole = PartWriter(directory, part.name), 0, False
    try:
        spoken = teacher(part.speaker).speak(list(part.texts))
        for text, speech in zip(part.texts, spoken, strict=True):
            try:
                audio, phones = prepare(text, speech)
            except TeacherError:
                skipped += 1
                continue
            if len(audio) > _MAX_SECONDS * SAMPLE_RATE_HZ:
                skipped += 1
                continue
            writer.add(text, SPEAKERS.index(part.speaker), audio, phones)
        whole = True
    finally:
        writer.close(whole=whole)
    return writer.count, skipped


def build(directory: Path, split: str, sentences: list[str], *, seed: int, jobs: int) -> int:
    """Speak `sentences` into `directory`; returns the number of utterances of the split.

    Raises:
        TeacherError: a teacher is not installed, or stopped.
    """
    parts = plan(split, sentences, seed)
    columns = (
        TextColumn(f"{split} {{task.fields[name]}}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    utterances = skipped = 0
    with Progress(*columns) as progress, ProcessPoolExecutor(jobs) as pool:
        task = progress.add_task("", total=sum(len(p.texts) for p in parts), name="")
        running = {pool.submit(speak_part, directory, part): part for part in parts}
        for future in as_completed(running):
            count, missing = future.result()
            utterances += count
            skipped += missing
            part = running[future]
            progress.update(task, advance=len(part.texts), name=part.name)
    if skipped:
        print(f"{split}: {skipped} sentences left out (unspeakable or over {_MAX_SECONDS} s)")
    return utterances
