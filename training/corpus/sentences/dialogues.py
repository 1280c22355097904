"""Dialogues of two to four turns, each a sentence of its own speaker.

Their templates are `dialogues.txt`: the turns of one, parted by " / ", in the grammars' notation. A
slot with a star has one value in all of a dialogue: `{city*}`.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

from training.corpus.sentences.forms import is_usable
from training.corpus.sentences.grammar import Grammar, finish, grammar

_FILE = Path(__file__).parent / "dialogues.txt"
_BOUND = re.compile(r"\{([^{}]+)\*\}")
_TURN = " / "
_TRIES = 20


def templates() -> list[str]:
    """The lines of `dialogues.txt` without its comments."""
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def turns(template: str, draw: random.Random, words_of: Grammar) -> tuple[str, ...]:
    """One dialogue of a template."""
    values: dict[str, str] = {}

    def bound(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            values[name] = words_of.fill(f"{{{name}}}", draw)
        return values[name]

    filled = words_of.fill(_BOUND.sub(bound, template), draw)
    return tuple(finish(turn) for turn in filled.split(_TURN))


def dialogues(count: int, seed: int) -> list[tuple[str, ...]]:
    """Up to `count` different dialogues, every template as often as every other.

    Each turn is fit for the corpus and leaks no held-out or validation sentence.
    """
    draw = random.Random(f"dialogues {seed}")
    found: dict[tuple[str, ...], None] = {}
    lines = templates()
    for number in range(_TRIES * count):
        if len(found) == count:
            break
        made = turns(lines[number % len(lines)], draw, grammar())
        if all(map(is_usable, made)):
            found[made] = None
    return list(found)
