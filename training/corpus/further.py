"""Further parts of the training split: what the other sentences have too little of.

Dialogues, whose turns two speakers share; short answers by everybody; what the gateway's spoken
form makes of signs and figures, mostly by `heart`; rare words, by `heart` alone. The parts have
names of their own, so that those of `build.plan` stay what they are, whatever is added here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator

from training.corpus.build import Part, speakable
from training.corpus.sentences import forms
from training.corpus.sentences.dialogues import dialogues
from training.corpus.sentences.sentence import Sentence
from training.corpus.store import SPEAKERS

FURTHER = "further"
"""As a choice beside the splits."""
_DIALOGUES = 500
_RARE = 1100
_FORMS_OF_OTHERS = 250
_PART_SENTENCES = 400
_FIRST, *_OTHERS = SPEAKERS


def plan_further(seed: int, share: float = 1.0) -> list[Part]:
    """The further parts, always the same for the same seed; `share` of each kind, above 0 to 1.

    Raises:
        MissingSourceError: a text is not on this machine.
        ValueError: `share` is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share: {share:g} is not allowed, must be in (0, 1]")

    def some(count: int) -> int:
        return math.ceil(count * share)

    found = dialogues(some(_DIALOGUES), seed)
    parts = list(_dialogue_parts(found, random.Random(f"casts {seed}")))
    short = _speakable(forms.short_answers())
    for name in SPEAKERS:
        parts += _parts(forms.SHORT, name, short[: some(len(short))])
    written = _speakable(forms.written_forms(seed))
    for name in _OTHERS:
        parts += _parts(forms.FORMS, name, written[: some(_FORMS_OF_OTHERS)])
        written = written[_FORMS_OF_OTHERS:]
    parts += _parts(forms.FORMS, _FIRST, written[: some(len(written))])
    parts += _parts(forms.RARE, _FIRST, _speakable(forms.rare_words(some(_RARE), seed)))
    return parts


def _speakable(sentences: Iterable[Sentence]) -> list[str]:
    return speakable(sentence.text for sentence in sentences)


def _parts(kind: str, speaker: str, texts: list[str]) -> Iterator[Part]:
    for start in range(0, len(texts), _PART_SENTENCES):
        own = tuple(texts[start : start + _PART_SENTENCES])
        yield Part(_name(speaker, kind, start), speaker, own)


def _dialogue_parts(found: list[tuple[str, ...]], chance: random.Random) -> Iterator[Part]:
    """Every dialogue by the first speaker and one of the others in turn; either may begin."""
    said: dict[str, list[tuple[str, tuple[int, int]]]] = {name: [] for name in SPEAKERS}
    for number, written in enumerate(found):
        turns = [text for turn in written for text in speakable([turn])]
        cast = [_FIRST, _OTHERS[number % len(_OTHERS)]]
        chance.shuffle(cast)
        if len(turns) == len(written):
            for place, text in enumerate(turns):
                said[cast[place % 2]].append((text, (number, place)))
    for speaker, turns_of_it in said.items():
        for start in range(0, len(turns_of_it), _PART_SENTENCES):
            texts, places = zip(*turns_of_it[start : start + _PART_SENTENCES], strict=True)
            yield Part(_name(speaker, "dialogues", start), speaker, texts, places)


def _name(speaker: str, kind: str, start: int) -> str:
    return f"train-{speaker}-{kind}-{start // _PART_SENTENCES:03d}"
