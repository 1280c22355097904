"""A small random voice on disk: corpus and codes, phones and all."""

from pathlib import Path

import numpy as np

from training.corpus.store import PHONES, PartWriter, Phone

CODEBOOKS = 3
CODEBOOK_SIZE = 16
WORDS = ("yes", "no", "well", "the sea", "a bird", "one", "nine", "over there")


def write_voice(work: Path, utterances: dict[str, int], *, seed: int = 0) -> None:
    """Write so many utterances a speaker of each split, and codes that follow from the phones."""
    chance = np.random.default_rng(seed)
    for split, count in utterances.items():
        codes: list[np.ndarray] = []
        for speaker in range(2):
            writer = PartWriter(work / "corpus", f"{split}-{'ab'[speaker]}-0")
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
                codes.append(np.stack([first, indices % 16, (indices + 5) % 16], axis=1))
            writer.close(whole=True)
        (work / "codes").mkdir(parents=True, exist_ok=True)
        np.savez(
            work / "codes" / f"{split}.npz",
            codes=np.concatenate(codes).astype(np.uint16),
            offset=np.cumsum([0, *map(len, codes)], dtype=np.int64),
        )


def _spans(text: str) -> list[tuple[int, int]]:
    spans, start = [], 0
    for word in text.rstrip(".").split(" "):
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return spans
