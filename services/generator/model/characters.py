"""The characters that a model can read, where its vocabulary is made of single ones."""

from __future__ import annotations

import unicodedata

from services.generator.model.text import TextTokenizer


def readable_characters(tokenizer: TextTokenizer) -> str:
    """Return the letters, digits and marks that the model can read, sorted, in lower case and
    without accents; empty where it can read any: its tokens are parts of words, or bytes.

    A character counts only where the tokenizer makes something of it between two letters: of a mark
    its own token, of a letter or digit anything. What the normalizer takes out is not read.
    """
    words = tokenizer.words
    if not words or tokenizer.reads_bytes or any(len(word) != 1 for word in words):
        return ""
    letter = min((word for word in words if word.isalpha()), default=None)
    if letter is None:
        return ""
    read = {word for word, number in words.items() if _is_read(tokenizer, letter, word, number)}
    return "".join(sorted({_plain(word) for word in read}))


def _is_read(tokenizer: TextTokenizer, letter: str, character: str, number: int) -> bool:
    if character.isspace():
        return False
    without = [tokenizer.content(f"{letter}{gap}{letter}") for gap in ("", " ")]
    between = [tokenizer.content(f"{letter}{character}{gap}{letter}") for gap in ("", " ")]
    if character.isalnum():
        return between[0] not in without
    # Counted, not looked for: a normalizer may add a full stop of its own.
    usual = max(ids.count(number) for ids in without)
    return any(ids.count(number) > usual for ids in between)


def _plain(character: str) -> str:
    """In lower case, and without accents where something is left."""
    lower = character.lower()
    apart = unicodedata.normalize("NFD", lower)
    return "".join(part for part in apart if not unicodedata.combining(part)) or lower
