"""How long a text takes to say: a guess, for caps, for warnings, and for a sentence cut short."""

import unicodedata

CHARS_PER_SECOND = 14
"""Letters, blanks and marks a second of English at an even pace."""
_WIDE_CHARS_PER_SECOND = 4.5
"""Characters of scripts that write a syllable or a word with each."""
_CHARS_OF_A_DIGIT = 4
"""Letters of the word that it is read as."""
_ENDS_MS = 200
"""What a sentence takes beside its letters."""

CAP_RATIO = 3
_CAP_LEAST_MS = 3_000
EARLY_RATIO = 0.2
_EARLY_LEAST_MS = 1_500
"""Shorter sentences may well be said in a fifth of what is expected."""


def expected_s(text: str) -> float:
    """Seconds that the letters of a text are expected to take, whether digits are put into words
    or not."""
    digits = sum(map(str.isdigit, text))
    wide = 0
    if not text.isascii():
        wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    others = len(text) - wide + (_CHARS_OF_A_DIGIT - 1) * digits
    return wide / _WIDE_CHARS_PER_SECOND + others / CHARS_PER_SECOND


def expected_ms(spoken_form: str) -> int:
    """Milliseconds that a sentence in its spoken form is expected to take; 0 for an empty one."""
    return _ENDS_MS + round(1000 * expected_s(spoken_form)) if spoken_form else 0


def cap_ms(expected: int, least_ms: int = 0) -> int:
    """Milliseconds after which a sentence that is expected to take `expected` has gone astray;
    0 where nothing is expected. `least_ms`: it is not to end before."""
    if not expected:
        return 0
    return max(_CAP_LEAST_MS, CAP_RATIO * expected, 2 * least_ms)


def too_early(audio_ms: float, expected: int) -> bool:
    """Whether speech of that length cannot be the whole sentence."""
    return expected >= _EARLY_LEAST_MS and audio_ms < EARLY_RATIO * (expected - _ENDS_MS)
