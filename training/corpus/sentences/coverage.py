"""Coverage: every common word of English, and many names, are heard at least once.

First by sentences that the other sources have left, then by plain lists of the words that no
sentence has ("She wrote glacier, oatmeal, and trumpet on the board.").
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from training.corpus.sentences.prose import require
from training.corpus.sentences.sentence import Sentence, is_fit, is_plain, words

_SCOWL = Path("/usr/share/dict/scowl")
_LEVELS = (10, 20, 35)
"""Of rarity: the commonest words first."""
_RARE_LEVELS = (40, 50)
_NAME_LEVEL = 50
_WORD_CARRIERS = (
    "She wrote {0}, {1}, {2}, {3}, {4}, and {5} on the board.",
    "Can you spell {0}, {1}, {2}, {3}, {4}, and {5}?",
    "The next words are {0}, {1}, {2}, {3}, {4}, and {5}.",
    "{0}, {1}, {2}, {3}, {4}, {5}.",
    "He reads out {0}, then {1}, {2}, {3}, {4}, and then {5}.",
    "What do {0}, {1}, {2}, {3}, {4}, and {5} mean?",
    "Say {0}, {1} and {2}, not {3}, {4} or {5}.",
    "I looked up {0} and {1}, {2} and {3}, {4} and {5}.",
)
_NAME_CARRIERS = (
    "The list says {0}, {1}, {2}, and {3}.",
    "Do you know {0}, {1}, {2}, and {3}?",
    "I read about {0} and {1}, and then about {2} and {3}.",
    "{0}, {1}, {2}, {3}!",
    "Was it {0}, {1}, {2}, or {3}?",
    "{0} comes before {1}, and {2} comes after {3}.",
)
_MAX_SENTENCE_WORDS = 16


@dataclass(frozen=True)
class Vocabulary:
    """Words to be heard. `levels`: lower-case word to rarity; `written`: how it is written."""

    source: str
    levels: Mapping[str, int]
    written: Mapping[str, str]
    carriers: tuple[str, ...]


def _read(names: Iterable[str], pattern: str) -> list[str]:
    found: list[str] = []
    for name in names:
        text = require(_SCOWL / name, "scowl").read_text(encoding="latin-1")
        found += [word for word in re.findall(pattern, text, re.MULTILINE) if is_fit(word)]
    return found


def common_words() -> Vocabulary:
    """Return the 39,000 words of SCOWL up to size 35, without names and possessives.

    Raises:
        MissingSourceError: the package `scowl` is not installed.
    """
    levels = _levels(_LEVELS)
    return Vocabulary("coverage", levels, {word: word for word in levels}, _WORD_CARRIERS)


def rare_words() -> Vocabulary:
    """Return the words of SCOWL between sizes 35 and 50, without names and possessives.

    Raises:
        MissingSourceError: the package `scowl` is not installed.
    """
    levels = _levels(_RARE_LEVELS)
    return Vocabulary("rare", levels, {word: word for word in levels}, _WORD_CARRIERS)


def _levels(of: Iterable[int]) -> dict[str, int]:
    levels: dict[str, int] = {}
    for level in of:
        lists = (f"english-words.{level}", f"american-words.{level}")
        for word in _read(lists, r"^[a-z]{2,}$"):
            levels.setdefault(word, level)
    return levels


def names() -> Vocabulary:
    """Return 4,000 names of people and places of SCOWL's size 50.

    Raises:
        MissingSourceError: the package `scowl` is not installed.
    """
    found = _read([f"english-proper-names.{_NAME_LEVEL}"], r"^[A-Z][a-z]{2,}$")
    written = {name.lower(): name for name in found}
    return Vocabulary("names", dict.fromkeys(written, _NAME_LEVEL), written, _NAME_CARRIERS)


class Coverage:
    """Knows which words of a vocabulary have not been heard yet."""

    def __init__(self, vocabulary: Vocabulary, heard: Iterable[Sentence]) -> None:
        """`heard`: the sentences that are in the corpus already."""
        self._vocabulary = vocabulary
        self.missing = set(vocabulary.levels)
        for sentence in heard:
            self.hear(sentence)

    def hear(self, sentence: Sentence) -> None:
        """Strike off the words of a sentence."""
        self.missing.difference_update(words(sentence.text))

    def covering(self, candidates: Iterable[Sentence]) -> Iterator[Sentence]:
        """Yield those fit sentences of moderate length that bring a missing word.

        The caller tells of those it takes with `hear`.
        """
        for candidate in candidates:
            # Cheap before exact: most candidates bring nothing new.
            roughly = candidate.text.lower().split()
            if len(roughly) > _MAX_SENTENCE_WORDS:
                continue
            if not any(word.strip(".,;:!?'") in self.missing for word in roughly):
                continue
            if is_plain(candidate.text) and not self.missing.isdisjoint(words(candidate.text)):
                yield candidate

    def lists(self, draw: random.Random) -> Iterator[Sentence]:
        """Yield sentences that only name missing words, a few at a time, commonest level first."""
        missing = sorted(self.missing)
        draw.shuffle(missing)
        missing.sort(key=self._vocabulary.levels.__getitem__)
        while missing:
            carrier = draw.choice(self._vocabulary.carriers)
            room = carrier.count("{")
            group, missing = missing[:room], missing[room:]
            # The last list is filled up with words that were heard before.
            group += draw.sample(sorted(self._vocabulary.levels), room - len(group))
            text = carrier.format(*(self._vocabulary.written[word] for word in group))
            yield Sentence(self._vocabulary.source, text[0].upper() + text[1:])
