"""Crops of the corpus with their phones: what one step of codec training reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.corpus.store import Corpus, Utterance

LABELS_PER_FRAME = 4
_LEAST_GAIN_DB, _MOST_GAIN_DB = -8.0, 2.0
_GAIN_SHARE = 0.3
_AT_START_SHARE = 0.15


@dataclass(frozen=True)
class Batch:
    """`audio` float32 `[rows, 1, samples]`; `phones` int64 `[rows, frames * 4]`, 20 ms each."""

    audio: Tensor
    phones: Tensor


class Crops:
    """Random crops; the step's number and the seed fix them, so a resumed run repeats none."""

    def __init__(self, corpus: Corpus, *, frames: int, frame_samples: int, seed: int) -> None:
        self._corpus, self._seed = corpus, seed
        self._frames, self._frame_samples = frames, frame_samples
        lengths = np.array([u.samples for u in corpus.utterances], dtype=np.float64)
        self._chances = np.cumsum(lengths) / lengths.sum()

    def batch(self, step: int, rows: int) -> Batch:
        """The crops of one step: utterances by their length, gain varied a little."""
        random = np.random.default_rng((self._seed, step))
        samples = self._frames * self._frame_samples
        audio = np.zeros((rows, samples), dtype=np.float32)
        phones = np.zeros((rows, self._frames * LABELS_PER_FRAME), dtype=np.int64)
        for row in range(rows):
            index = min(
                int(np.searchsorted(self._chances, random.random())), len(self._chances) - 1
            )
            utterance = self._corpus.utterances[index]
            start = 0
            if utterance.samples > samples and random.random() > _AT_START_SHARE:
                start = int(random.integers(utterance.samples - samples + 1))
            piece = self._corpus.audio(index)[start : start + samples]
            gain = 1.0
            if random.random() < _GAIN_SHARE:
                gain = 10 ** (random.uniform(_LEAST_GAIN_DB, _MOST_GAIN_DB) / 20)
            audio[row, : len(piece)] = piece.astype(np.float32) * (gain / 32768.0)
            phones[row] = phone_labels(utterance, start, self._frames, self._frame_samples)
        return Batch(torch.from_numpy(audio)[:, None], torch.from_numpy(phones))


def phone_labels(utterance: Utterance, start: int, frames: int, frame_samples: int) -> np.ndarray:
    """The phone in the middle of every quarter of a frame, int64 `[frames * 4]`; pause outside."""
    ends = np.fromiter((p.end_sample for p in utterance.phones), dtype=np.int64)
    names = np.fromiter((p.index for p in utterance.phones), dtype=np.int64)
    quarter = frame_samples / LABELS_PER_FRAME
    middles = start + (np.arange(frames * LABELS_PER_FRAME) + 0.5) * quarter
    place = np.searchsorted(ends, middles, side="right")
    return np.where(place < len(names), names[np.minimum(place, len(names) - 1)], 0)
