"""English words as Whisper's own normaliser compares them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from training.evaluate.packages import imported
from training.evaluate.words import Errors, count_errors

# Whisper writes a time as 3:45, 3.45 or 345.
_TIME = re.compile(r"(\d)[:.](\d\d)\b")


@lru_cache(maxsize=1)
def _normalizer() -> Any:
    return imported("whisper_normalizer.english").EnglishTextNormalizer()


def words(text: str) -> list[str]:
    """Return the words of a text: numbers as digits, British spelling as American, no punctuation.

    Raises:
        ValueError: the package whisper-normalizer is missing.
    """
    return str(_normalizer()(_TIME.sub(r"\1\2", text))).split()


def errors(written: str, heard: str) -> Errors:
    """Return the edits from the sentence `written` to the one `heard`.

    Words that differ in where they are parted ("every day", "everyday") were heard right.
    """
    want, have = words(written), words(heard)
    return Errors(len(want)) if "".join(want) == "".join(have) else count_errors(want, have)
