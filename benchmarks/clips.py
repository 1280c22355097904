"""Sentences that were spoken, for benchmarks that listen: by pico, and by synthesizers of the
machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from csm.audio.files import read_audio
from csm.client import AsyncClient, WordTime
from services.all_in_one import AllInOne
from training.evaluate.held_out import SENTENCES, read_sentences, spread

RATE_HZ = 24_000
PICO_VOICES = ("heart", "michael", "emma", "fable")
SYNTHESIZERS = (
    ("espeak-ng", "en-us"),
    ("espeak-ng", "en-gb"),
    ("espeak-ng", "en-us+f3"),
    ("flite", "kal16"),
    ("flite", "awb"),
    ("flite", "rms"),
    ("flite", "slt"),
)


@dataclass(frozen=True, eq=False)
class Clip:
    """A sentence and its sound, mono float32 [samples] at 24 kHz."""

    text: str
    voice: str
    samples: np.ndarray
    words: tuple[WordTime, ...] = ()
    """As the server told them."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE_HZ


def sentences(count: int) -> list[str]:
    """Sentences that pico was not trained on, spread over the file."""
    lines = read_sentences(SENTENCES)
    return [lines[i] for i in spread(len(lines), count)]


async def by_pico(texts: Sequence[str], *, seed: int, max_lead_ms: int = 0) -> list[Clip]:
    """Each text by one of pico's voices in turn, with its word times."""
    clips = []
    async with AllInOne(slots=1) as running, AsyncClient(running.address) as client:
        for n, text in enumerate(track(texts, "speaking", console=Console(stderr=True))):
            voice = PICO_VOICES[n % len(PICO_VOICES)]
            speech = client.synthesize(
                text, voice=voice, seed=seed, word_times=True, max_lead_ms=max_lead_ms
            )
            chunks = [chunk async for chunk in speech]
            samples = np.concatenate([chunk.samples for chunk in chunks])
            words = tuple(word for chunk in chunks for word in chunk.words)
            clips.append(Clip(text, voice, samples, words))
    return clips


def by_synthesizers(texts: Sequence[str]) -> list[Clip]:
    """Each text by one of the synthesizers in turn that are installed; empty where none is."""
    there = [(program, voice) for program, voice in SYNTHESIZERS if shutil.which(program)]
    clips = []
    with tempfile.TemporaryDirectory(prefix="clips-") as folder:
        path = Path(folder) / "said.wav"
        for n, text in enumerate(texts if there else ()):
            program, voice = there[n % len(there)]
            options = ["-v", voice, "-w", str(path), text]
            if program == "flite":
                options = ["-voice", voice, "-t", text, "-o", str(path)]
            subprocess.run([program, *options], check=True, capture_output=True)
            samples, _ = read_audio(path, max_seconds=60, rate_hz=RATE_HZ)
            clips.append(Clip(text, f"{program} {voice}", samples))
    return clips
