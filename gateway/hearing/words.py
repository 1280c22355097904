"""Whether the words that are said to be in a recording can be in it, by its length alone."""

import unicodedata

UNITS_PER_S = 15.0
"""Letters and spaces of speech at a usual pace."""
LEAST_SHARE, MOST_SHARE = 1 / 3, 4.0
"""Of the usual length: faster or slower than that nobody speaks."""
PAUSES_S = 2.0
"""What a recording may be longer for its pauses."""
SHORT_S = 1.0
"""Words of less may be said in no time."""


def expected_s(text: str) -> float:
    """Seconds that a text takes at a usual pace."""
    return sum(map(_units, text)) / UNITS_PER_S


def misfit(text: str, seconds: float) -> str | None:
    """What is odd about a recording of `seconds` with these words, without the words; None: it
    may be right."""
    usual_s = expected_s(text)
    if not usual_s:
        return None
    if usual_s > SHORT_S and seconds < usual_s * LEAST_SHARE:
        return (
            f"its {len(text)} characters take about {usual_s:.0f} s to say, and it lasts "
            f"{seconds:.1f} s: the words are not those of the recording, or more than are in it"
        )
    if seconds > usual_s * MOST_SHARE + PAUSES_S:
        return (
            f"its {len(text)} characters take about {usual_s:.1f} s to say, and it lasts "
            f"{seconds:.1f} s: words are missing, or it has long pauses"
        )
    return None


def _units(character: str) -> float:
    if character.isdigit():
        return 4.0
    if unicodedata.east_asian_width(character) in "WF":
        # A syllable or two each.
        return 3.0
    return 1.0 if character.isalpha() or character == " " else 0.0
