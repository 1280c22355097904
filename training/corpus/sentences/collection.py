"""The collection: how many sentences of each source the corpus has."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping

from training.corpus.sentences import prose
from training.corpus.sentences.coverage import Coverage, Vocabulary, common_words, names
from training.corpus.sentences.exclusion import measured
from training.corpus.sentences.grammar import grammar
from training.corpus.sentences.sentence import (
    MAX_WORDS,
    MIN_WORDS,
    Sentence,
    is_fit,
    is_plain,
    is_pronounceable,
    words,
)

OWN, PAIRS = "own", "pairs"
SHARES: Mapping[str, float] = {
    "wordnet-examples": 0.30,
    "endless-sky": 0.14,
    "fortunes": 0.08,
    "wordnet-glosses": 0.02,
    "jargon": 0.02,
    "bible": 0.02,
    "webster": 0.02,
    OWN: 0.25,
    PAIRS: 0.04,
    "coverage": 0.09,
    "names": 0.02,
}
"""Of the sentences asked for. Where a source has fewer, the first ones make up for it."""

_VOCABULARIES: Mapping[str, Callable[[], Vocabulary]] = {
    "coverage": common_words,
    "names": names,
}
_SPOKEN = ("own-talk", "own-service", "own-questions", "own-opinions", "own-work", "own-figures")
_MAX_HALF_CHARS = 60


class _Collector:
    """Takes sentences that are fit, each wording once."""

    def __init__(self) -> None:
        self.sentences: list[Sentence] = []
        self._seen: set[tuple[str, ...]] = set()

    def take(self, candidates: Iterable[Sentence], count: int) -> Iterator[Sentence]:
        """Take up to `count` that are new, and yield each."""
        for candidate in candidates:
            if count <= 0:
                return
            if not is_fit(candidate.text):
                continue
            if candidate.source in prose.SOURCES and not is_plain(candidate.text):
                continue
            sequence = words(candidate.text)
            if not MIN_WORDS <= len(sequence) <= MAX_WORDS or sequence in self._seen:
                continue
            if not is_pronounceable(sequence) or measured().leaks(sequence):
                continue
            self._seen.add(sequence)
            self.sentences.append(candidate)
            count -= 1
            yield candidate


def _pairs(own: list[Sentence], draw: random.Random) -> Iterator[Sentence]:
    """Yield two short sentences as one turn: "Sure, of course. What time is it?"."""
    halves = [
        sentence.text
        for sentence in own
        if sentence.source in _SPOKEN
        and len(sentence.text) <= _MAX_HALF_CHARS
        and not measured().leaks(words(sentence.text))
    ]
    while len(halves) > 1:
        yield Sentence(PAIRS, " ".join(draw.sample(halves, 2)))


def _cover(
    collector: _Collector,
    unheard: Coverage,
    pools: Iterable[list[Sentence]],
    count: int,
    draw: random.Random,
) -> None:
    """Take up to `count` sentences with unheard words; the first half of them whole ones."""
    room = count // 2
    for pool in pools:
        for taken in collector.take(unheard.covering(pool), room):
            unheard.hear(taken)
            room -= 1
    for _ in collector.take(unheard.lists(draw), count - count // 2 + room):
        pass


def _check(count: int, shares: Mapping[str, float]) -> None:
    if count < 1:
        raise ValueError(f"count: {count} is not allowed, must be at least 1")
    allowed = (*prose.SOURCES, OWN, PAIRS, *_VOCABULARIES)
    for source, share in shares.items():
        if source not in allowed or not 0 <= share <= 1:
            raise ValueError(
                f"shares: {source}={share} is not allowed, must be in [0, 1] for one of "
                f"{', '.join(allowed)}"
            )


def collect_sentences(
    count: int, seed: int, shares: Mapping[str, float] = SHARES
) -> list[Sentence]:
    """Return `count` distinct sentences with their sources, in random order.

    None shares its wording, or eight words in a row, with a held-out or validation sentence.

    Raises:
        ValueError: `count` is not positive, a share is unknown or out of range, or the sources
            hold fewer sentences than asked for.
        MissingSourceError: a Debian package is missing; the message names it.
    """
    _check(count, shares)
    draw = random.Random(f"sentences {seed}")
    collector = _Collector()
    quotas = {source: round(count * share) for source, share in shares.items()}
    pools: dict[str, list[Sentence]] = {}
    for source, quota in quotas.items():
        if source in prose.SOURCES and quota:
            pools[source] = prose.read(source)
            draw.shuffle(pools[source])
        elif source == OWN:
            pools[source] = grammar().sentences(quota + quota // 8, seed)
        for _ in collector.take(pools.get(source, ()), quota):
            pass
    for _ in collector.take(_pairs(pools.get(OWN, []), draw), quotas.get(PAIRS, 0)):
        pass
    for source, vocabulary in _VOCABULARIES.items():
        if quotas.get(source, 0):
            unheard = Coverage(vocabulary(), collector.sentences)
            _cover(collector, unheard, pools.values(), quotas[source], draw)
    for pool in pools.values():
        for _ in collector.take(pool, count - len(collector.sentences)):
            pass
    found = collector.sentences
    if len(found) < count:
        raise ValueError(
            f"count: {count} is not allowed, must be at most {len(found)}: the sources hold no more"
        )
    draw.shuffle(found)
    return found[:count]


def collect(count: int, seed: int) -> list[str]:
    """Return the texts of `collect_sentences(count, seed)`, as written."""
    return [sentence.text for sentence in collect_sentences(count, seed)]
