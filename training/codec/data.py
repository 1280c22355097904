"""Crops of the corpus with their phones: what one step of codec training reads."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from training.codec import codes
from training.codec.codes import codes_path
from training.corpus.store import Corpus, Utterance, part_names

LABELS_PER_FRAME = 4
_LEAST_GAIN_DB, _MOST_GAIN_DB = -8.0, 2.0
_GAIN_SHARE = 0.3
_AT_START_SHARE = 0.15


@dataclass(frozen=True)
class Batch:
    """`audio` float32 `[rows, 1, samples]`; `phones` int64 `[rows, frames * 4]`, 20 ms each;
    `speakers` int64 `[rows]`."""

    audio: Tensor
    phones: Tensor
    speakers: Tensor


class Source(Protocol):
    """Where a step's batch comes from: `Crops`, or `Ahead` of them."""

    def batch(self, step: int, rows: int) -> Batch: ...


class Crops:
    """Random crops; the step's number and the seed fix them, so a resumed run repeats none."""

    def __init__(self, corpus: Corpus, *, frames: int, frame_samples: int, seed: int) -> None:
        self._corpus, self._seed = corpus, seed
        self._frames, self._frame_samples = frames, frame_samples
        self._chances = even_chances(
            np.array([u.samples for u in corpus.utterances], dtype=np.float64),
            np.array([u.speaker for u in corpus.utterances]),
        )

    def batch(self, step: int, rows: int) -> Batch:
        """The crops of one step: every speaker as often, of a speaker's utterances each by its
        length, gain varied a little."""
        random = np.random.default_rng((self._seed, step))
        samples = self._frames * self._frame_samples
        audio = np.zeros((rows, samples), dtype=np.float32)
        phones = np.zeros((rows, self._frames * LABELS_PER_FRAME), dtype=np.int64)
        speakers = np.zeros(rows, dtype=np.int64)
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
            speakers[row] = utterance.speaker
        found = (torch.from_numpy(each) for each in (audio[:, None], phones, speakers))
        return Batch(*found)


class Ahead:
    """Crops made in a thread while the step before them is computed: for an accelerator.

    What a step gets is what `crops` would have given it.
    """

    def __init__(self, crops: Crops, steps: int = 3) -> None:
        """Make up to `steps` steps ahead."""
        self._crops, self._steps = crops, steps
        self._pool = ThreadPoolExecutor(1)
        self._waiting: dict[tuple[int, int], Future[Batch]] = {}

    def batch(self, step: int, rows: int) -> Batch:
        """As `Crops.batch`."""
        for ahead in range(step, step + self._steps + 1):
            if (ahead, rows) not in self._waiting:
                self._waiting[ahead, rows] = self._pool.submit(self._crops.batch, ahead, rows)
        batch = self._waiting.pop((step, rows)).result()
        for passed in [each for each in self._waiting if each[0] < step]:
            self._waiting.pop(passed).cancel()
        return batch


class PredictedCrops:
    """Crops of the codes that the language model would say, with the audio they stand for.

    Crops begin at frames, so that codes and audio lie together. The step's number and the seed fix
    them. `len` is the number of utterances; there may be none.
    """

    def __init__(self, work: Path, *, frames: int, frame_samples: int, seed: int) -> None:
        names = [
            name for name in part_names(work / "corpus", "train") if codes.is_predicted(work, name)
        ]
        self._seed, self._frames, self._frame_samples = seed, frames, frame_samples
        self._chances = np.zeros(0)
        if names:
            self._corpus = Corpus.open(work / "corpus", "train", names)
            self._codes, self._offset = codes.read(
                [codes_path(work, name, predicted=True) for name in names]
            )
            self._chances = even_chances(
                np.diff(self._offset).astype(np.float64),
                np.array([u.speaker for u in self._corpus.utterances]),
            )

    def __len__(self) -> int:
        return len(self._chances)

    def batch(self, step: int, rows: int) -> tuple[Tensor, Tensor]:
        """Return codes int64 [rows, codebooks, frames] and audio float32 [rows, 1, samples].

        Utterances are drawn as by `Crops`; behind the end of one the next begins.
        """
        random = np.random.default_rng((self._seed, step, 3))
        size = self._frame_samples
        found = np.zeros((rows, self._frames, self._codes.shape[1]), dtype=np.int64)
        audio = np.zeros((rows, 1, self._frames * size), dtype=np.float32)
        for row in range(rows):
            filled = 0
            while filled < self._frames:
                place = int(np.searchsorted(self._chances, random.random()))
                index = min(place, len(self) - 1)
                first, end = (int(x) for x in self._offset[index : index + 2])
                start, room = 0, self._frames - filled
                if random.random() > _AT_START_SHARE:
                    start = int(random.integers(max(end - first - room, 0) + 1))
                count = min(end - first - start, room)
                found[row, filled : filled + count] = self._codes[first + start :][:count]
                piece = self._corpus.audio(index)[start * size : (start + count) * size]
                audio[row, 0, filled * size :][: len(piece)] = piece / np.float32(32768.0)
                filled += count
        return torch.from_numpy(found).transpose(1, 2), torch.from_numpy(audio)


def even_chances(lengths: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Running sum of the chances of utterances, float64 `[utterances]`, its last near 1.

    Every speaker of `speakers` (int64 `[utterances]`) has the same chance in all, whatever was
    spoken of whom; each of a speaker's utterances one as its length.
    """
    names, place = np.unique(speakers, return_inverse=True)
    totals = np.bincount(place, weights=lengths)
    return np.cumsum(lengths / (totals[place] * len(names)))


def phone_labels(utterance: Utterance, start: int, frames: int, frame_samples: int) -> np.ndarray:
    """The phone in the middle of every quarter of a frame, int64 `[frames * 4]`; pause outside."""
    ends = np.fromiter((p.end_sample for p in utterance.phones), dtype=np.int64)
    names = np.fromiter((p.index for p in utterance.phones), dtype=np.int64)
    quarter = frame_samples / LABELS_PER_FRAME
    middles = start + (np.arange(frames * LABELS_PER_FRAME) + 0.5) * quarter
    place = np.searchsorted(ends, middles, side="right")
    return np.where(place < len(names), names[np.minimum(place, len(names) - 1)], 0)
