"""Word errors: what a recogniser heard beside what was written, and how sure the rate is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from training.evaluate.bootstrap import Interval, ratio
from training.tokenizer import normalize

_NO_WORD = re.compile(r"[^a-z' ]")
# An apostrophe belongs to a word only within it.
_STRAY_APOSTROPHE = re.compile(r"(?<![a-z])'|'(?![a-z])")
# Letters that stand alone as words.
_WORDS_OF_ONE = {"a", "i"}


@dataclass(frozen=True)
class Errors:
    """The edits that turn what was written into what was heard, and the words written."""

    words: int = 0
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0

    @property
    def edits(self) -> int:
        """All edits together."""
        return self.substituted + self.deleted + self.inserted

    @property
    def rate(self) -> float:
        """Edits a written word (the word error rate); NaN where nothing was written."""
        return self.edits / self.words if self.words else float("nan")

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.words + other.words,
            self.substituted + other.substituted,
            self.deleted + other.deleted,
            self.inserted + other.inserted,
        )


def words_of(text: str) -> list[str]:
    """Return the words of a text as they are compared: spelled out, lower case, bare.

    Both sides pass here, so that "3 p.m.", "three p m" and "three pm" are one.
    """
    plain = _NO_WORD.sub(" ", normalize(text).lower())
    return _join_letters(_STRAY_APOSTROPHE.sub(" ", plain).split())


def _join_letters(words: list[str]) -> list[str]:
    """ "p m" as "pm", "t v" as "tv": whether letters are one word is the dictionary's taste."""
    joined: list[str] = []
    before = ""
    for spelled in words:
        # The normaliser's letter A among letters, so that it is not read as the article.
        word = "a" if spelled == "ay" else spelled
        letter = len(word) == 1 and word not in _WORDS_OF_ONE
        # "a m" is an hour of the morning; any other "a" or "i" is a word.
        if (letter and len(before) == 1 and before not in _WORDS_OF_ONE) or (
            (before, word) == ("a", "m")
        ):
            joined[-1] += word
        else:
            joined.append(word)
        before = word
    return joined


def count_errors(written: Sequence[str], heard: Sequence[str]) -> Errors:
    """Return the fewest edits from `written` to `heard`, word by word (Levenshtein).

    Of equally few, the one with most substitutions: a word heard wrongly is one error, not a word
    lost and another made up.
    """
    # A cell is (edits, substituted, deleted, inserted); fewer edits win, then fewer gaps.
    row = [(j, 0, 0, j) for j in range(len(heard) + 1)]
    for i, word in enumerate(written, 1):
        above, row = row, [(i, 0, i, 0)]
        for j, other in enumerate(heard, 1):
            edits, swapped, lost, made = above[j - 1]
            wrong = int(word != other)
            swap = (edits + wrong, swapped + wrong, lost, made)
            edits, swapped, lost, made = above[j]
            lose = (edits + 1, swapped, lost + 1, made)
            edits, swapped, lost, made = row[j - 1]
            make = (edits + 1, swapped, lost, made + 1)
            row.append(min(swap, lose, make, key=lambda cell: (cell[0], cell[2] + cell[3])))
    _, substituted, deleted, inserted = row[-1]
    return Errors(len(written), substituted, deleted, inserted)


def total(errors: Sequence[Errors]) -> Errors:
    """Return the sum over sentences: long sentences weigh more, as in every word error rate."""
    return sum(errors, Errors())


def difference(
    ours: Sequence[Errors], theirs: Sequence[Errors], *, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Return our word error rate minus theirs on the same sentences, with a bootstrap interval.

    Sentences are drawn with replacement, a sentence with both its readings.

    Raises:
        ValueError: the two differ in length, there is no word, or `resamples` is below 1.
    """
    if len(ours) != len(theirs):
        raise ValueError(
            f"theirs: {len(theirs)} sentences are not allowed, must be {len(ours)}, as many as ours"
        )
    words = [one.words for one in ours]
    if not sum(words):
        raise ValueError("ours: 0 words are not allowed, must be at least 1")
    extra = [a.edits - b.edits for a, b in zip(ours, theirs, strict=True)]
    return ratio(extra, words, resamples=resamples, seed=seed)
