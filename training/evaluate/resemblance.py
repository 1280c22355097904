"""Who is heard: how near a clip's speaker embedding (resemblyzer's, GE2E) is to each teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from training.evaluate.level import levelled
from training.evaluate.packages import imported, need

MODULES = ("resemblyzer", "librosa", "webrtcvad")


@lru_cache(maxsize=1)
def _encoder() -> Any:
    # On the CPU: the same figures wherever the voice was made.
    return imported("resemblyzer").VoiceEncoder("cpu", verbose=False)


def embed(audio: np.ndarray, rate_hz: int) -> np.ndarray:
    """Return the speaker embedding of mono float [samples]: float32 [256], of length 1.

    Raises:
        ValueError: a package is missing, or it is no one-dimensional audio.
    """
    need(*MODULES)
    # Silence has no direction: the encoder divides by nothing then.
    found = np.nan_to_num(_encoder().embed_utterance(levelled(audio, rate_hz)))
    return np.asarray(found, np.float32)


class Resemblance:
    """The teachers' mean embeddings."""

    def __init__(self, means: np.ndarray) -> None:
        """Take float [speakers, features]; every row is brought to length 1.

        Raises:
            ValueError: there are fewer than two speakers, or a row is zero.
        """
        lengths = np.linalg.norm(means, axis=1, keepdims=True) if means.ndim == 2 else np.zeros(1)
        if means.ndim != 2 or len(means) < 2 or not lengths.all():
            raise ValueError(
                f"means: shape {list(means.shape)} is not allowed, must be [speakers, features], "
                "at least 2 speakers, none of them zero"
            )
        self.means = means / lengths

    @classmethod
    def fit(cls, rows: np.ndarray, speakers: Sequence[int]) -> Resemblance:
        """Average embeddings [clips, features] by the number of each clip's speaker.

        Raises:
            ValueError: the lengths differ, or a speaker from 0 to the highest has no clip.
        """
        labels = np.asarray(speakers)
        if len(rows) != len(labels):
            raise ValueError(f"speakers: {len(labels)} are not allowed, must be {len(rows)}")
        clips = np.bincount(labels) if len(labels) else np.zeros(1, int)
        if not clips.all():
            raise ValueError(
                f"speakers: {clips.tolist()} clips by speaker are not allowed, must be at least 1 "
                "of each"
            )
        return cls(np.stack([rows[labels == n].mean(axis=0) for n in range(len(clips))]))

    def similarities(self, embedding: np.ndarray) -> list[float]:
        """Return the cosine similarity to each teacher's mean, in the speakers' order."""
        length = float(np.linalg.norm(embedding))
        return [float(value) for value in self.means @ embedding / max(length, 1e-9)]
