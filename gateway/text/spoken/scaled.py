"""Numbers with a letter for the thousands and millions: 130k people, 5M users, 2bn, 5-10k."""

# ruff: noqa: RUF001 (the dash is one of a range)

import re

from gateway.text.spoken import numbers
from gateway.text.spoken.currencies import SCALES
from gateway.text.spoken.numbers import AT_NUMBER, NUMBER
from gateway.text.spoken.numerals import is_counted
from gateway.text.spoken.rule import Rule, rule, word_after, word_before, word_set

_NEEDS = re.compile(r"\d ?(?:[kKMB]|bn|mn|tn)(?!\w)")

_RACES = word_set("run runs race races walk walks runner runners swim ride time pace training")
_RACE_BEFORE = word_set("a the run ran running race raced walked jog jogged sub couch to my first")
_PIXELS = word_set(
    """
    video videos monitor monitors tv tvs television display displays screen screens movie movies
    film films resolution camera cameras footage stream streams streaming content image images
    modem modems bitrate mp3 quality uhd hdr ultra projector projectors texture textures version
    remaster blu
    """
)
_PIXELS_BEFORE = word_set("a an at in the native true")
_RESOLUTIONS = word_set("2 4 5 6 8 12 16")
_FORMS = word_set("filing filings form forms report reports")
_RACE_LENGTHS = word_set("3 5 8 10 12 15 20 25")
_PLANS = word_set("401 403 457")
"""Of pensions, by the paragraph of the law."""


def _is_name(match: re.Match[str], amount: str, scale: str) -> bool:
    """Whether the letter is one by itself: a 10K run, a 4K video, a 10-K filing, 401k, room 5B."""
    after, before = word_after(match), word_before(match)
    counts, after = is_counted(after), after.lower()
    if scale == "B":
        return not counts or after == "or"
    if scale not in ("k", "K"):
        return False
    if amount in _PLANS or after in _RACES or after in _FORMS:
        return True
    if amount in _RACE_LENGTHS and before in _RACE_BEFORE and not counts:
        return True
    if after in _PIXELS:
        return True
    # Written small it is as often a thousand.
    pixels = scale == "K" or (amount in ("4", "8") and before in _PIXELS_BEFORE)
    return pixels and amount in _RESOLUTIONS and not counts


def _said(match: re.Match[str]) -> str | None:
    scale, last = match["scale"], match["last"]
    if _is_name(match, last or match["amount"], match["last_scale"] or scale):
        return None
    first = numbers.number(match["amount"])
    if not last:
        return f"{first} {SCALES[scale]}"
    if scale and scale != match["last_scale"]:
        first = f"{first} {SCALES[scale]}"
    return f"{first} to {numbers.number(last)} {SCALES[match['last_scale']]}"


_SCALE = r"(?:(?<=\d)[kKMB]|bn|mn|tn)(?!\w)"

RULES: tuple[Rule, ...] = (
    rule(
        rf"{AT_NUMBER}(?P<amount>{NUMBER}) ?(?P<scale>{_SCALE})?"
        rf"(?: ?[–-] ?(?P<last>{NUMBER}) ?(?P<last_scale>{_SCALE}))",
        _said,
        _NEEDS,
    ),
    rule(
        rf"{AT_NUMBER}(?P<amount>{NUMBER}) ?(?P<scale>{_SCALE})(?P<last>)(?P<last_scale>)",
        _said,
        _NEEDS,
    ),
)
