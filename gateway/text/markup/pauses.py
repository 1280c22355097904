"""How long a pause is that a text asks for."""

import re

from gateway.text.options import MAX_PAUSE_MS

_TIME = re.compile(r"\s*\+?([0-9]{1,6}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})\s*(ms|s)\s*", re.IGNORECASE)
# Those of common readers of SSML.
_STRENGTHS_MS = {
    "none": 0,
    "x-weak": 100,
    "weak": 250,
    "medium": 400,
    "strong": 750,
    "x-strong": 1200,
}
DEFAULT_MS = 400
"""Of a pause without a time."""


def milliseconds(time: str) -> int | None:
    """Of "300ms" or "1.5s", at most MAX_PAUSE_MS; None where it is no such time."""
    match = _TIME.fullmatch(time)
    if match is None:
        return None
    factor = 1 if match[2].lower() == "ms" else 1000
    return min(MAX_PAUSE_MS, round(float(match[1]) * factor))


def break_ms(attributes: dict[str, str]) -> int:
    """Of an SSML break."""
    ms = milliseconds(attributes.get("time", ""))
    if ms is not None:
        return ms
    return _STRENGTHS_MS.get(attributes.get("strength", "").strip().lower(), DEFAULT_MS)
