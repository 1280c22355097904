"""The characters that a model can read, and those of a text that it cannot."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_LIKE = {"æ": "ae", "œ": "oe", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
"""Letters that Unicode does not take apart, and that text tokenizers are given as others."""


class Characters:
    """Those that a model's text tokenizer knows, in lower case and without accents."""

    def __init__(self, known: str) -> None:
        """`known` as `GetModelInfo` gives it; empty: any."""
        self._known = frozenset(known)

    def unknown(self, text: str) -> Iterator[tuple[int, int]]:
        """Runs [start, end) of the text in which no letter and no digit is known."""
        if not self._known:
            return
        start: int | None = None
        end = 0
        for at, char in enumerate(text):
            if char in self._known or char.isspace() or self._reads(char):
                if start is not None and char.isalnum():
                    yield start, end
                    start = None
            elif char.isalnum():
                if start is None:
                    start = at
                end = at + 1
        if start is not None:
            yield start, end

    def _reads(self, char: str) -> bool:
        if not char.isalnum():
            return True  # a mark: not spoken by itself
        folded = _folded(char)
        return bool(folded) and self._known.issuperset(folded)


@lru_cache(4096)
def _folded(char: str) -> str:
    lower = _LIKE.get(char.lower(), char.lower())
    return "".join(c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c))
