"""How long a text takes to say: a guess, for caps, for warnings, and for a sentence cut short."""

import unicodedata

CHARS_PER_SECOND = 14
"""Letters, blanks and marks a second of English at an even pace."""
_WIDE_CHARS_PER_SECOND = 4.5
"""Characters of scripts that write a syllable or a word with each."""
_ENDS_MS = 200
"""What a sentence takes beside its letters."""

CAP_RATIO = 3
_CAP_LEAST_MS = 3_000
EARLY_RATIO = 0.2
_EARLY_LEAST_MS = 1_500
"""Shorter sentences may well be said in a fifth of what is expected."""


def expected_ms(spoken_form: str) -> int:
    """Milliseconds that a sentence in its spoken form is expected to take; 0 for an empty one."""
    if not spoken_form:
        return 0
    if spoken_form.isascii():
        seconds = len(spoken_form) / CHARS_PER_SECOND
    else:
        wide = sum(unicodedata.east_asian_width(c) in "WF" for c in spoken_form)
        seconds = wide / _WIDE_CHARS_PER_SECOND + (len(spoken_form) - wide) / CHARS_PER_SECOND
    return _ENDS_MS + round(1000 * seconds)


def cap_ms(expected: int, least_ms: int = 0) -> int:
    """Milliseconds after which a sentence that is expected to take `expected` has gone astray;
    0 where nothing is expected. `least_ms`: it is not to end before."""
    if not expected:
        return 0
    return max(_CAP_LEAST_MS, CAP_RATIO * expected, 2 * least_ms)


def too_early(audio_ms: float, expected: int) -> bool:
    """Whether speech of that length cannot be the whole sentence."""
    return expected >= _EARLY_LEAST_MS and audio_ms < EARLY_RATIO * (expected - _ENDS_MS)
