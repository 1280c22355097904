"""Grammars: sentences of our own, from lines with choices and slots.

`grammars/*.txt` hold one sentence a line. `(red|green|)` is a choice, `{city}` a slot filled from
`grammars/lexicon.txt` (`city: Paris | New York`, whose values may hold choices and slots again) or
by a generator of numbers (`{number 2 20}`, `{time}`, ...; see `figures.py`). A line that starts
with `#` is a comment.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.corpus.sentences.figures import FIGURES
from training.corpus.sentences.sentence import Sentence, is_fit

DIRECTORY = Path(__file__).parent / "grammars"
_LEXICON = "lexicon"
_CHOICE = re.compile(r"\(([^()]*)\)")
_SLOT = re.compile(r"\{([^{}]+)\}")
_ARTICLE = re.compile(
    r"\b([Aa]) (?=(?:[aeiou](?!ne\b|nce\b|ni[^n]|u|se)|hour|honest|heir|8|11\b|18\b))"
)
_MAX_WEIGHT = 2000
_MAX_DEPTH = 8


@dataclass(frozen=True)
class Line:
    """A template and the name of its file."""

    topic: str
    text: str


class GrammarError(ValueError):
    """A grammar file is wrong; the message names the file, the line and the reason."""


def _read(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


class Grammar:
    """All topics and the lexicon. `expand` draws one sentence of a line."""

    def __init__(
        self, directory: Path = DIRECTORY, figures: Mapping[str, Callable[..., str]] = FIGURES
    ) -> None:
        """Read every `.txt` of `directory`; `figures` are what slots may name beside the lexicon.

        Raises:
            GrammarError: a line names a slot that does not exist, or brackets do not match.
        """
        self._figures = figures
        self._lexicon: dict[str, list[str]] = {}
        for line in _read(directory / f"{_LEXICON}.txt"):
            name, colon, values = line.partition(":")
            if not colon:
                raise GrammarError(f"{_LEXICON}.txt: {line!r} has no colon")
            entries = [value.strip() for value in values.split(" | ")]
            self._lexicon.setdefault(name.strip(), []).extend(entries)
        self.lines = [
            Line(path.stem, text)
            for path in sorted(directory.glob("*.txt"))
            if path.stem != _LEXICON
            for text in _read(path)
        ]
        for template in self.lines:
            self._check(template)

    def _check(self, line: Line) -> None:
        texts = [line.text]
        for _ in range(_MAX_DEPTH):
            slots = {name for text in texts for name in _SLOT.findall(text)}
            for name in slots:
                if name not in self._lexicon and name.split()[0] not in self._figures:
                    raise GrammarError(f"{line.topic}.txt: {line.text!r}: no slot {name!r}")
            texts = [value for name in slots for value in self._lexicon.get(name, [])]
        if texts:
            raise GrammarError(f"{line.topic}.txt: {line.text!r}: its slots never end")
        plain = line.text
        while (simpler := _CHOICE.sub("", plain)) != plain:
            plain = simpler
        if re.search(r"[()|{}]", _SLOT.sub("", plain)):
            raise GrammarError(f"{line.topic}.txt: {line.text!r}: brackets do not match")

    def variants(self, text: str) -> int:
        """Return about how many sentences a template makes."""
        total = 1
        rest = text
        while match := _CHOICE.search(rest):
            total *= sum(self.variants(option) for option in match[1].split("|"))
            rest = rest[: match.start()] + rest[match.end() :]
        for name in _SLOT.findall(rest):
            values = self._lexicon.get(name)
            total *= sum(self.variants(value) for value in values) if values else 50
        return min(total, 10**9)

    def fill(self, text: str, draw: random.Random) -> str:
        """Return a template with one of every choice and a value in every slot."""
        for _ in range(100):
            if match := _CHOICE.search(text):
                piece = draw.choice(match[1].split("|"))
            elif match := _SLOT.search(text):
                name, *arguments = match[1].split()
                values = self._lexicon.get(match[1])
                piece = draw.choice(values) if values else self._figures[name](draw, *arguments)
            else:
                break
            text = text[: match.start()] + piece + text[match.end() :]
        return text

    def expand(self, text: str, draw: random.Random) -> str:
        """Return one sentence of a template."""
        return finish(self.fill(text, draw))

    def sentences(self, count: int, seed: int) -> list[Sentence]:
        """Return `count` distinct fit sentences, fewer where the grammars hold no more.

        A line is drawn the more often the more sentences it makes, but not in proportion, so that
        short fixed answers are in it as well as every kind of order, date and price.
        """
        draw = random.Random(f"grammar {seed}")
        weights = [math.sqrt(min(self.variants(line.text), _MAX_WEIGHT)) for line in self.lines]
        found: dict[str, Sentence] = {}
        for line in draw.choices(self.lines, weights, k=8 * count):
            if len(found) == count:
                break
            text = self.expand(line.text, draw)
            if text not in found and is_fit(text):
                found[text] = Sentence(f"own-{line.topic}", text)
        return list(found.values())


def finish(text: str) -> str:
    """Return a filled template as a sentence: spaces, marks, articles, the first letter."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" (?=[,.?!])", "", text)
    text = re.sub(r"\.\.$", ".", text)
    text = _ARTICLE.sub(r"\1n ", text)
    return text[:1].upper() + text[1:]


@cache
def grammar() -> Grammar:
    """Return the grammars of this package."""
    return Grammar()
