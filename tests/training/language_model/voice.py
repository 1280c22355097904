"""A small random voice on disk: corpus and codes, phones and all."""

from pathlib import Path

import numpy as np

from training.codec import codes
from training.corpus.store import PHONES, PartWriter, Phone, part_names

CODEBOOKS = 3
CODEBOOK_SIZE = 16
WORDS = ("yes", "no", "well", "the sea", "a bird", "one", "nine", "over there")


def write_voice(work: Path, utterances: dict[str, int], *, seed: int = 0) -> None:
    """Write so many utterances a speaker of each split, and codes that follow from the phones."""
    chance = np.random.default_rng(seed)
    for split, count in utterances.items():
        for speaker in range(2):
            made: list[np.ndarray] = []
            name = f"{split}-{'ab'[speaker]}-0"
            writer = PartWriter(work / "corpus", name)
            for _ in range(count):
                text = " ".join(chance.choice(WORDS, chance.integers(1, 3))) + "."
                phones, end = [Phone(0, 1920, -1, -1)], 1920
                for start, stop in _spans(text):
                    for letter in text[start:stop]:
                        end += int(chance.integers(900, 2200))
                        phones.append(Phone(1 + ord(letter) % (len(PHONES) - 1), end, start, stop))
                end += 2880
                phones.append(Phone(0, end, -1, -1))
                writer.add(text, speaker, np.zeros(end, dtype=np.int16), tuple(phones))
                centres = np.arange(-(-end // 1920)) * 1920 + 960
                found = np.searchsorted([p.end_sample for p in phones], centres, side="right")
                indices = np.array([p.index for p in phones] + [0])[found]
                first = 1 + (indices + speaker) % (CODEBOOK_SIZE - 1)
                made.append(np.stack([first, indices % 16, (indices + 5) % 16], axis=1))
            writer.close(whole=True)
            codes.write(codes.codes_path(work, name), made)


def codes_of(work: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The codes of a split and where each utterance's start."""
    names = part_names(work / "corpus", split)
    return codes.read([codes.codes_path(work, name) for name in names])


def _spans(text: str) -> list[tuple[int, int]]:
    spans, start = [], 0
    for word in text.rstrip(".").split(" "):
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return spans
