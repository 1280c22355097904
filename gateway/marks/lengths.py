"""How long a word takes to say: a guess from its letters, in milliseconds at an even pace.

Fitted to forced alignments of synthetic English voices (docs/notes/word_times.md). Of other
languages the letters count as in English, which is right in proportion, and that is what counts:
the pace is taken from the sound.
"""

import re
import unicodedata
from functools import lru_cache

from gateway.text.markup.characters import is_wide

_WORD_MS, _SMALL_WORD_MS = 106, 40
"""What a word takes beside its sounds; a small one is said in passing."""
_VOWEL_MS, _CONSONANT_MS = 51, 60
_LAST_MS, _BEFORE_MARK_MS = 157, 130
"""The last word of a sentence, and one before a comma, are drawn out."""
_DIGIT_MS = 230
_WIDE_MS = 220
"""A character of a script that writes a syllable or a word with each."""

_SMALL_WORDS = re.compile(
    "a|an|the|of|to|in|on|at|and|or|for|from|is|was|are|were|be|been|it|its|i|you|he|she|we|they|"
    "his|her|my|our|their|that|this|as|by|with|but|if|so|not|do|did|has|have|had|will|would|can|"
    "could|them|him|me|us|your"
)
_SPELLINGS = tuple(
    (re.compile(pattern), sounds)
    for pattern, sounds in (
        (r"(.)\1", r"\1"),
        (r"(?<=..[^aeiouy])e(?=[sd]?$)", ""),
        (r"tion", "xon"),
        (r"igh", "i"),
        (r"[oa]ugh", "o"),
        (r"th|sh|ch|ck|ng|ph|wh", "t"),
        (r"qu", "kw"),
        (r"^kn|^wr", "n"),
        (r"gh", ""),
    )
)
"""Letters that make one sound, or none."""
_VOWELS = re.compile(r"[aeiouy]+")


def expected_ms(token: str, *, last: bool = False) -> int:
    """Milliseconds of a word of a spoken form, with the marks at its ends; 1 at the least.

    `last`: nothing is said behind it.
    """
    ms = _letters_ms(token.casefold())
    if last:
        ms += _LAST_MS
    elif ends_clause(token):
        ms += _BEFORE_MARK_MS
    return max(1, ms)


def ends_clause(token: str) -> bool:
    """Whether a mark behind the word lets a pause be expected."""
    return token.rstrip("\"')]}\u2019\u201d")[-1:] in tuple(",;:.!?\u2013\u2014\u2026")


@lru_cache(maxsize=4096)
def _letters_ms(token: str) -> int:
    digits = sum(map(str.isdigit, token))
    wide = sum(map(is_wide, token))
    letters = "".join(c for c in _unaccented(token) if c.isalpha() and not is_wide(c))
    ms = digits * _DIGIT_MS + wide * _WIDE_MS
    if not letters:
        return ms
    if _SMALL_WORDS.fullmatch(letters):
        ms += _SMALL_WORD_MS
    elif not digits and not wide:
        ms += _WORD_MS
    for pattern, sounds in _SPELLINGS:
        letters = pattern.sub(sounds, letters)
    vowels = _VOWELS.findall(letters)
    consonants = len(letters) - sum(map(len, vowels))
    return ms + _VOWEL_MS * max(1, len(vowels)) + _CONSONANT_MS * consonants


def _unaccented(token: str) -> str:
    return token if token.isascii() else unicodedata.normalize("NFD", token)
