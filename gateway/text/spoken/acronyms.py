"""Words in capitals: FBI letter by letter, NASA as a word, a shouted sentence as it is."""

import re

from gateway.text.spoken.acronym_words import SAID, SPELLED, WORDS
from gateway.text.spoken.rule import Rule, rule, word_set

_CAPITALS = re.compile(r"[A-Z]{2}|[A-Z]&[A-Z]")
_VOWEL = re.compile("[AEIOUY]")
_ONSETS = word_set(
    """
    BL BR CH CL CR DR DW FL FR GL GN GR KL KN KR PH PL PR PS QU RH SC SCH SCR SH SHR SK SL SM
    SN SP SPL SPR SQ ST STR SW TH THR TR TW VL WH WR
    """
)
_ONSET = re.compile("[^AEIOUY]*")
_NEIGHBOUR_BEFORE = re.compile(r"([^\W\d_]+)(?:'[A-Z]+)?[ ,;:\-]{1,3}\Z")
_NEIGHBOUR_AFTER = re.compile(r"(?:'[A-Z]+)?[ ,;:\-]{1,3}([^\W\d_]+)")


def is_spelled(word: str) -> bool:
    """Whether a word in capitals is said letter by letter where nobody shouts."""
    if word in SPELLED:
        return True
    if word in SAID or word in WORDS:
        return False
    if len(word) > 6:
        return False
    if not _VOWEL.search(word) or len(word) < 4:
        return True
    onset = _ONSET.match(word)
    assert onset is not None
    return len(onset[0]) > 1 and onset[0] not in _ONSETS


def _shouted(match: re.Match[str]) -> bool:
    """Whether the words beside it are in capitals too: three of them, or the whole sentence."""
    text, size = match.string, 1
    start, end = match.span("word")
    while size < 3:
        found = _NEIGHBOUR_BEFORE.search(text, max(0, start - 28), start)
        if found is None or not found[1].isupper():
            break
        size += 1
        start = found.start()
    before = found
    while size < 3:
        found = _NEIGHBOUR_AFTER.match(text, end, end + 28)
        if found is None or not found[1].isupper():
            break
        size += 1
        end = found.end()
    if size >= 3:
        return True
    # Two words, and no other in the sentence: STOP NOW!
    return size == 2 and (before is None or before[1].isupper()) and found is None


def _acronym(match: re.Match[str]) -> str | None:
    word, tail = match["word"], match["tail"] or ""
    if not is_spelled(word):
        return None
    if _shouted(match) and (word in WORDS or word not in SPELLED):
        return None
    plural = {"s": "'s", "S": "'s"}.get(tail, tail)
    return " ".join(word) + plural


def _with_and(match: re.Match[str]) -> str:
    """AT&T, R&D, Q&A."""
    return f"{' '.join(match[1])} and {' '.join(match[2])}"


RULES: tuple[Rule, ...] = (
    rule(r"(?<![\w&])([A-Z]{1,3})&([A-Z]{1,3})(?![\w&])", _with_and, _CAPITALS),
    rule(
        r"(?<![\w'])(?P<word>[A-Z]{2,12})(?P<tail>'?s)?(?!\w)(?!-[a-z]{1,2}\b)",
        _acronym,
        _CAPITALS,
    ),
)
