"""Sentences in which every form is spoken that the gateway's spoken form makes of what is written.

Their templates are `written_forms.txt`; their figures, the tables of `gateway.text.spoken`.
"""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

from training.corpus.sentences import coverage
from training.corpus.sentences.coverage import Coverage
from training.corpus.sentences.exclusion import measured
from training.corpus.sentences.grammar import Grammar, GrammarError
from training.corpus.sentences.sentence import MAX_WORDS, Sentence, is_fit, is_pronounceable, words
from training.corpus.sentences.written_figures import written_figures

FORMS, RARE, SHORT = "forms", "rare", "short"
_FILE = Path(__file__).parent / "written_forms.txt"
_HEADER = re.compile(r"== ([1-9]\d*)")
_TRIES = 20


def sections(text: str) -> list[tuple[int, list[str]]]:
    """The templates of a file, with how many sentences are drawn of each group.

    Raises:
        GrammarError: there is a template before the first group, or a group has none.
    """
    found: list[tuple[int, list[str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        if header := _HEADER.fullmatch(line):
            found.append((int(header[1]), []))
        elif found:
            found[-1][1].append(line)
        else:
            raise GrammarError(f"{line!r} stands before the first group")
    if empty := [count for count, templates in found if not templates]:
        raise GrammarError(f"the group of {empty[0]} has no template")
    return found


def written_forms(seed: int) -> list[Sentence]:
    """All groups' sentences in random order, distinct, each fit and no longer than others.

    None leaks a held-out or a validation sentence.
    """
    draw = random.Random(f"forms {seed}")
    grammar = Grammar(figures=written_figures())
    found: dict[str, None] = {}
    for count, templates in sections(_FILE.read_text(encoding="utf-8")):
        wanted = len(found) + count
        for _ in range(_TRIES * count):
            if len(found) == wanted:
                break
            text = grammar.expand(draw.choice(templates), draw)
            if is_usable(text):
                found[text] = None
    made = [Sentence(FORMS, text) for text in found]
    draw.shuffle(made)
    return made


def rare_words(count: int, seed: int) -> list[Sentence]:
    """Up to `count` sentences that only name rare words, a few at a time, the commoner ones first.

    Raises:
        MissingSourceError: the package `scowl` is not installed.
    """
    lists = Coverage(coverage.rare_words(), ()).lists(random.Random(f"rare {seed}"))
    usable = (s for s in lists if is_usable(s.text) and is_pronounceable(words(s.text)))
    return list(itertools.islice(usable, count))


def short_answers() -> list[Sentence]:
    """Yes, no and the like, in the order of the file, without those that are measured."""
    lines = (_FILE.parent / "short_answers.txt").read_text(encoding="utf-8").splitlines()
    return [Sentence(SHORT, line) for line in lines if is_usable(line)]


def is_usable(text: str) -> bool:
    """Whether a made sentence may be trained on: fit, not too long, and none that is measured."""
    sequence = words(text)
    return is_fit(text) and 0 < len(sequence) <= MAX_WORDS and not measured().leaks(sequence)
