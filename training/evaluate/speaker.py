"""Who speaks: a linear classifier of mean cepstra, trained on the teachers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluate.mel import cepstra

# Of the within-speaker covariance towards its diagonal: a codec moves a voice in directions in
# which the teachers hardly vary, and those must not decide.
_SHRINKAGE = 0.2


def features(audio: np.ndarray, rate_hz: int) -> np.ndarray:
    """Return means and spreads of a clip's cepstra, float64 [40]."""
    rows = cepstra(audio, rate_hz)
    return np.concatenate((rows.mean(axis=0), np.log(rows.std(axis=0) + 1e-3)))


@dataclass(frozen=True)
class SpeakerClassifier:
    """Linear discriminant analysis: one Gaussian a speaker, one covariance for all."""

    means: np.ndarray
    """float64 [speakers, features]."""
    precision: np.ndarray
    """float64 [features, features], the inverse covariance."""

    @classmethod
    def fit(cls, rows: np.ndarray, speakers: Sequence[int]) -> SpeakerClassifier:
        """Train on `features` [clips, features] and the number of each clip's speaker.

        Raises:
            ValueError: the lengths differ, numbers are not 0, 1, 2 and so on, or there are too few
                clips.
        """
        labels = np.asarray(speakers)
        if len(rows) != len(labels):
            raise ValueError(f"speakers: {len(labels)} are not allowed, must be {len(rows)}")
        count = int(labels.max(initial=-1)) + 1
        clips = np.bincount(labels, minlength=count)
        if count < 2 or clips.min() < 2:
            raise ValueError(
                f"speakers: {clips.tolist()} clips by speaker are not allowed, must be at least 2 "
                "of each of at least 2 speakers, numbered from 0"
            )
        means = np.stack([rows[labels == speaker].mean(axis=0) for speaker in range(count)])
        rest = rows - means[labels]
        covariance = rest.T @ rest / (len(rows) - count)
        covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.diag(np.diag(covariance))
        covariance += 1e-6 * np.eye(len(covariance))
        return cls(means, np.linalg.inv(covariance))

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the nearest speaker of each row, int64 [clips], by Mahalanobis distance."""
        apart = rows[:, None] - self.means
        distances = np.einsum("csf,fg,csg->cs", apart, self.precision, apart)
        return distances.argmin(axis=1)

    def hear(self, audio: np.ndarray, rate_hz: int) -> int:
        """Return the speaker of one clip."""
        return int(self.predict(features(audio, rate_hz)[None])[0])
