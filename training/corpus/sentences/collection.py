"""The collection: how many sentences of each source the corpus has."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from training.corpus.sentences import prose
from training.corpus.sentences.exclusion import measured
from training.corpus.sentences.grammar import grammar
from training.corpus.sentences.sentence import MAX_WORDS, MIN_WORDS, Sentence, is_fit, words

OWN = "own"
SHARES: Mapping[str, float] = {
    "wordnet-examples": 0.38,
    "endless-sky": 0.14,
    "fortunes": 0.08,
    "wordnet-glosses": 0.03,
    "jargon": 0.03,
    "bible": 0.02,
    "webster": 0.02,
    OWN: 0.30,
}
"""Of the sentences asked for. A source that has fewer is made up for by the first ones."""


class _Collector:
    """Takes sentences that are fit, each wording once."""

    def __init__(self) -> None:
        self.sentences: list[Sentence] = []
        self._seen: set[tuple[str, ...]] = set()

    def take(self, candidates: Iterable[Sentence], count: int) -> int:
        """Take up to `count` that are new; return how many were."""
        taken = 0
        for candidate in candidates:
            if taken == count:
                break
            if not is_fit(candidate.text):
                continue
            sequence = words(candidate.text)
            if not MIN_WORDS <= len(sequence) <= MAX_WORDS or sequence in self._seen:
                continue
            if measured().leaks(sequence):
                continue
            self._seen.add(sequence)
            self.sentences.append(candidate)
            taken += 1
        return taken


def collect_sentences(
    count: int, seed: int, shares: Mapping[str, float] = SHARES
) -> list[Sentence]:
    """Return `count` distinct sentences with their sources, in random order.

    None shares its wording, or eight words in a row, with a held-out or validation sentence.

    Raises:
        ValueError: `count` is not positive, a share is unknown or negative, or the sources hold
            fewer sentences than asked for.
        MissingSourceError: a Debian package is missing; the message names it.
    """
    if count < 1:
        raise ValueError(f"count: {count} is not allowed, must be at least 1")
    for source, share in shares.items():
        if source not in (*prose.SOURCES, OWN) or not 0 <= share <= 1:
            allowed = ", ".join((*prose.SOURCES, OWN))
            raise ValueError(
                f"shares: {source}={share} is not allowed, must be in [0, 1] for one of {allowed}"
            )
    draw = random.Random(f"sentences {seed}")
    collector = _Collector()
    pools: dict[str, list[Sentence]] = {}
    for source, share in shares.items():
        quota = round(count * share)
        if source == OWN:
            pools[source] = grammar().sentences(quota + quota // 8, seed) if quota else []
        else:
            pools[source] = prose.read(source) if quota else []
            draw.shuffle(pools[source])
        collector.take(pools[source], quota)
    for pool in pools.values():
        collector.take(pool, count - len(collector.sentences))
    found = collector.sentences
    if len(found) < count:
        raise ValueError(
            f"count: {count} is not allowed, must be at most {len(found)}: the sources hold no more"
        )
    draw.shuffle(found)
    return found


def collect(count: int, seed: int) -> list[str]:
    """Return the texts of `collect_sentences(count, seed)`, as written."""
    return [sentence.text for sentence in collect_sentences(count, seed)]
