"""Whether the words that are said to be in a recording can be in it, by its length alone."""

from gateway.text.expectation import expected_s
from gateway.text.markup.characters import speakable

LEAST_SHARE, MOST_SHARE = 1 / 3, 4.0
"""Of the usual length: faster or slower than that nobody speaks."""
PAUSES_S = 2.0
"""What a recording may be longer for its pauses."""
SHORT_S = 1.0
"""Words of less may be said in no time."""


def misfit(text: str, seconds: float) -> str | None:
    """What is odd about a recording of `seconds` with these words, without the words; None: it
    may be right."""
    if not speakable(text):
        return None
    usual_s = expected_s(text)
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
