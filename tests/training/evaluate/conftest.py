"""Voices made of formants, and a corpus of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training.corpus.store import SAMPLE_RATE_HZ, SPEAKERS, PartWriter
from training.tokenizer import normalize

SENTENCES = (
    "The evening train was late again.",
    "Is it cold outside?",
    "Two cups of coffee, please.",
    "I will call at 3:30 p.m.",
)
# Pitch and two formants of each speaker, Hz.
_VOICES = ((210, 800, 2400), (110, 500, 1500), (130, 650, 1900), (95, 400, 1200))


def formants(speaker: int, seconds: float, seed: int) -> np.ndarray:
    """A buzz with the speaker's formants and a pause in its middle, float32 [samples]."""
    random = np.random.default_rng(seed)
    count = int(seconds * SAMPLE_RATE_HZ)
    pitch_hz, *centres_hz = (value * random.uniform(0.95, 1.05) for value in _VOICES[speaker])
    harmonics = np.arange(1, 60)[:, None] * pitch_hz
    gains = sum(1 / (1 + ((harmonics - centre) / 150) ** 2) for centre in centres_hz)
    time_s = np.arange(count) / SAMPLE_RATE_HZ
    vibrato = np.sin(2 * np.pi * 3 * time_s) * 0.3
    sound = (gains * np.sin(2 * np.pi * harmonics * time_s + vibrato)).sum(axis=0)
    sound *= 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s)
    sound += random.normal(size=count) * 0.01
    sound *= 0.3 / np.abs(sound).max()
    sound[count // 2 : count // 2 + SAMPLE_RATE_HZ // 10] = 0
    return sound.astype(np.float32)


@pytest.fixture
def formant_voice() -> Callable[[int, float, int], np.ndarray]:
    return formants


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work directory whose corpus is read by the voices of formants, to be copied."""
    place = tmp_path_factory.mktemp("made")
    for split, clips in (("train", 6), ("validation", 2), ("held_out", len(SENTENCES))):
        for speaker, name in enumerate(SPEAKERS):
            writer = PartWriter(place / "corpus", f"{split}-{name}-000")
            for clip in range(clips):
                audio = formants(speaker, 1.2, seed=100 * clip + speaker)
                text = normalize(SENTENCES[clip % len(SENTENCES)])
                writer.add(text, speaker, (audio * 32767).astype(np.int16), ())
            writer.close(whole=True)
    (place / "held_out.txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    return place


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Path:
    """A work directory of the test's own: a corpus, and `held_out.txt` beside it."""
    return Path(shutil.copytree(made, tmp_path / "work"))
