"""The stage `corpus`: every sentence by one teacher, in parts that a stopped run goes on with."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
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

from services.native.malloc import give_back
from training.corpus.store import NO_DIALOGUE, SAMPLE_RATE_HZ, SPEAKERS, PartWriter
from training.corpus.teachers.hibari import Hibari
from training.corpus.teachers.speech import Speech, TeacherError, prepare
from training.memory import keep_freed_memory
from training.tokenizer import normalize

_PART_SENTENCES = 400
# Else a process that speaks for hours grows to several gigabytes.
_SENTENCES_A_RELEASE = 10
# Longer than what a turn of the language model may hold in training; a clause splits before it.
_MAX_SECONDS = 14


SHARES: Mapping[str, int] = {"heart": 64, "michael": 15, "emma": 12, "fable": 9}
"""Percent of the training sentences: `heart` costs a sixtieth of what the others do, so that all
of the text's words are hers and the others lend their voices."""

_KOKORO = {"michael": "am_michael", "emma": "bf_emma", "fable": "bm_fable"}


class Teacher(Protocol):
    """Whoever speaks the corpus."""

    def speak(self, texts: list[str]) -> Iterator[Speech | TeacherError]:
        """Speak each of `texts`; in place of one that cannot be said stands why."""


def teacher(speaker: str, directory: Path) -> Teacher:
    """The teacher of a speaker of `store.SPEAKERS`; `directory` keeps what it is made of.

    Raises:
        ValueError: there is no such speaker.
        TeacherError: a package of it cannot be had, or is not installed.
    """
    if speaker not in SPEAKERS:
        raise ValueError(f"speaker is {speaker!r}; allowed: {', '.join(SPEAKERS)}")
    if speaker == "heart":
        return Hibari(directory)
    from training.corpus.teachers.kokoro import Kokoro

    return Kokoro(_KOKORO[speaker], directory)


@dataclass(frozen=True)
class Part:
    """One file's worth of work."""

    name: str
    speaker: str
    texts: tuple[str, ...]
    places: tuple[tuple[int, int], ...] = ()
    """The dialogue and the turn of each text, where they are of dialogues."""


def plan(split: str, sentences: list[str], seed: int) -> list[Part]:
    """Give every sentence of the training split one speaker by `SHARES`, of the held-out one the
    next in turn, as the evaluation wants it, and of the validation split all four.

    The same normalised text twice is kept once; one that the front end would change again ("suvs"
    is read "s u vs", and "vs" alone "versus") is left out: the model shall see what was spoken.
    Parts come in the order in which they are worth having: the first part of every speaker, then
    the second.
    """
    if split == "held_out":
        step = len(SPEAKERS)
        shares = {name: speakable(sentences[i::step]) for i, name in enumerate(SPEAKERS)}
        return _parts(split, shares)
    texts = speakable(sentences)
    if split == "train":
        random.Random(seed).shuffle(texts)
        shares, start = {}, 0
        for name in SPEAKERS:
            end = start + round(len(texts) * SHARES[name] / 100)
            shares[name], start = texts[start : end if name != SPEAKERS[-1] else None], end
    else:
        shares = dict.fromkeys(SPEAKERS, texts)
    return _parts(split, shares)


def speakable(sentences: Iterable[str]) -> list[str]:
    """What can be spoken of `sentences`, normalised, each once."""
    texts = dict.fromkeys(t for t in map(normalize, sentences) if any(map(str.isalpha, t)))
    return [text for text in texts if normalize(text) == text]


def _parts(split: str, shares: Mapping[str, list[str]]) -> list[Part]:
    """The texts of every speaker in parts, the first part of each before the second of any."""
    parts = [
        (start, Part(f"{split}-{name}-{start // _PART_SENTENCES:03d}", name, tuple(share)))
        for name, all_of_it in shares.items()
        for start in range(0, len(all_of_it), _PART_SENTENCES)
        for share in [all_of_it[start : start + _PART_SENTENCES]]
    ]
    return [part for _, part in sorted(parts, key=lambda p: p[0])]


def speak_part(directory: Path, part: Part, teachers: Path) -> tuple[int, int]:
    """Speak one part to disk unless it is there; returns its utterances, and how many are left out.

    A sentence that a teacher cannot say, or that grows too long, is left out.
    """
    done_file = directory / f"{part.name}.done"
    if done_file.exists():
        return int(done_file.read_text()), 0
    writer, skipped, whole = PartWriter(directory, part.name), 0, False
    try:
        spoken = _teacher(part.speaker, teachers).speak(list(part.texts))
        places = part.places or ((NO_DIALOGUE, 0),) * len(part.texts)
        for text, speech, (dialogue, turn) in zip(part.texts, spoken, places, strict=True):
            if writer.count % _SENTENCES_A_RELEASE == 0:
                give_back()
            try:
                if isinstance(speech, TeacherError):
                    raise speech
                audio, phones = prepare(text, speech)
            except TeacherError:
                skipped += 1
                continue
            if len(audio) > _MAX_SECONDS * SAMPLE_RATE_HZ:
                skipped += 1
                continue
            speaker = SPEAKERS.index(part.speaker)
            writer.add(text, speaker, audio, phones, dialogue=dialogue, turn=turn)
        whole = True
    finally:
        writer.close(whole=whole)
    return writer.count, skipped


@cache
def _teacher(speaker: str, directory: Path) -> Teacher:
    """As `teacher`, loaded once in a process."""
    return teacher(speaker, directory)


def _prepare_process() -> None:
    """One thread each, since several processes speak."""
    import torch

    torch.set_num_threads(1)
    keep_freed_memory()


def build(
    directory: Path,
    parts: Sequence[Part],
    *,
    jobs: int,
    teachers: Path,
    title: str,
    speakers: Sequence[str] = SPEAKERS,
) -> int:
    """Speak `parts` into `directory`; returns the number of their utterances.

    `teachers` keeps what the teachers are made of. Only what `speakers` have to say is spoken;
    `title` stands before the progress.

    Raises:
        TeacherError: a teacher cannot be had, or is not installed.
    """
    for speaker in speakers:
        # Once, before processes would each fetch it.
        teacher(speaker, teachers)
    parts = [part for part in parts if part.speaker in speakers]
    columns = (
        TextColumn(f"{title} {{task.fields[name]}}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    utterances = skipped = 0
    with (
        Progress(*columns) as progress,
        ProcessPoolExecutor(jobs, initializer=_prepare_process) as pool,
    ):
        task = progress.add_task("", total=sum(len(p.texts) for p in parts), name="")
        running = {pool.submit(speak_part, directory, part, teachers): part for part in parts}
        for future in as_completed(running):
            count, missing = future.result()
            utterances += count
            skipped += missing
            part = running[future]
            progress.update(task, advance=len(part.texts), name=part.name)
    if skipped:
        print(f"{title}: {skipped} sentences left out (unspeakable or over {_MAX_SECONDS} s)")
    return utterances
