"""A teacher that speaks signs of phonemes and says how long each of them takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training.corpus.teachers.phonemes import signs_of, vocabulary
from training.corpus.teachers.signs import timed
from training.corpus.teachers.speech import Speech, TeacherError

RATE_HZ = 24000
_UNIT_S = 600 / RATE_HZ


class PhonemeTeacher(ABC):
    """What hibari and Kokoro's voices have in common."""

    def __init__(self, *, british: bool) -> None:
        """`british`: of the two Englishes that they know; else American."""
        self._british = british

    def speak(self, texts: list[str]) -> Iterator[Speech | TeacherError]:
        """Speak each of `texts`; in place of one that cannot be said stands why."""
        for text in texts:
            try:
                yield self._spoken(text)
            except TeacherError as error:
                yield error

    @abstractmethod
    def _sound(self, text: str, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Float32 audio of one text, and in units of 600 samples what each of its `ids` (int64
        `[1, signs + 2]`, a pad at both ends) takes of it."""

    def _spoken(self, text: str) -> Speech:
        signs = signs_of(text, british=self._british)
        known = vocabulary()
        ids = np.asarray([[0, *(known[s.sign] for s in signs), 0]], np.int64)
        audio, lengths = self._sound(text, ids)
        if not np.isfinite(audio).all():
            raise TeacherError("the teacher's audio is not finite")
        lead_s, *inner_s, tail_s = (lengths.ravel() * _UNIT_S).tolist()
        return Speech(
            np.clip(np.round(audio * 32767.0), -32768, 32767).astype(np.int16),
            RATE_HZ,
            timed(signs, lead_s, inner_s, tail_s),
        )


def session_of(path: Path) -> Any:
    """The ONNX model at `path`, on one thread: several processes speak."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
