"""Keeps the sentences we measure with out of the sentences we train on."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from training.corpus.sentences.sentence import words

_DIRECTORY = Path(__file__).parent
_RUN = 8


def _lines(name: str) -> tuple[str, ...]:
    return tuple((_DIRECTORY / name).read_text(encoding="utf-8").splitlines())


@cache
def held_out() -> tuple[str, ...]:
    """Return the 200 sentences of the evaluation, as written."""
    return _lines("held_out.txt")


@cache
def validation() -> tuple[str, ...]:
    """Return the 60 sentences that training is watched with, as written."""
    return _lines("validation.txt")


class Exclusion:
    """Knows which word sequences would leak a set of sentences."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self._whole = {words(sentence) for sentence in sentences}
        self._runs = {
            sequence[start : start + _RUN]
            for sequence in self._whole
            for start in range(len(sequence) - _RUN + 1)
        }

    def leaks(self, sequence: tuple[str, ...]) -> bool:
        """Say whether a sequence of words is one of them or shares eight words in a row."""
        if sequence in self._whole:
            return True
        starts = range(len(sequence) - _RUN + 1)
        return any(sequence[start : start + _RUN] in self._runs for start in starts)


@cache
def measured() -> Exclusion:
    """Return the exclusion of the held-out and the validation sentences."""
    return Exclusion([*held_out(), *validation()])
