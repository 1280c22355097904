"""What hibari and Kokoro both read: a text as signs of phonemes, by hibari's reader."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from training.corpus.teachers.signs import Sign, spell
from training.corpus.teachers.speech import TeacherError

MAX_SIGNS = 400


@cache
def phonemizer(*, british: bool) -> Any:
    """hibari's own reader of texts. Raises `TeacherError` where it is not installed."""
    try:
        from hibari.g2p import G2P
    except ImportError:
        raise TeacherError("hibari-tts is not installed: pip install -e '.[teachers]'") from None
    return G2P(british=british)


@cache
def vocabulary() -> dict[str, int]:
    """The number of each sign, which is Kokoro's. Raises `TeacherError` as `phonemizer`."""
    phonemizer(british=False)
    import hibari

    path = Path(hibari.__file__).parent / "assets" / "vocab.json"
    numbers: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return numbers


def signs_of(text: str, *, british: bool) -> list[Sign]:
    """The signs of a normalised text, of which a teacher takes `MAX_SIGNS`.

    Raises:
        TeacherError: nothing can be spoken, or there are too many.
    """
    reader = phonemizer(british=british)
    tokens = reader.phonemize_tokens(reader.tokenize(text))
    known = vocabulary()
    signs = [
        one
        for one in spell([(t.text, t.phonemes or "", t.whitespace) for t in tokens])
        if one.sign in known
    ]
    if not 0 < len(signs) <= MAX_SIGNS:
        raise TeacherError(f"the text has {len(signs)} signs; allowed: 1 to {MAX_SIGNS}")
    return signs
