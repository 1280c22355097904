"""Whether marks end a sentence, from what stands before and behind them.

Nothing here knows how the text arrives: where more of it may change an answer, the answer is
None, and never changes otherwise.
"""

# ruff: noqa: RUF001 (punctuation of many scripts)

import re

from gateway.text.abbreviations import (
    AFTER_CLOCK,
    CLOCK,
    CONNECTING,
    ENDERS,
    MONTHS,
    NAMED,
    NEVER,
    NUMBER_MAY_FOLLOW,
    NUMBERED,
    STARTERS,
)
from gateway.text.markup.characters import is_wide

STOPS = ".!?…‽"
WIDE_STOPS = "。！？｡．︒﹒﹖﹗؟۔।॥።፧፨។៕။།༎։᠃᱾‼⁇⁈⁉⸮"
"""Those that end a sentence without white space behind them."""
CLOSERS = "\"'”’»›«‹)]}」』）】》〉］｝"
LOOK_BACK_CHARS = 64
LOOK_AHEAD_CHARS = 32
"""What the answers lean on, at the most."""

_OPENERS = "\"'“‘«‹([{¿¡—–-"
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LAST_NUMBER = re.compile(r"[0-9.,]*[0-9]\Z")
_ROMAN = re.compile(r"[IVXLC]{2,7}")
_OUTLINE = re.compile(r"I{2,3}|IV|VI{1,3}|IX|XI{1,3}|XIV|ii|iii|iv|vi{1,3}|ix")
_CODE = re.compile(r"[A-Z]{1,4}-?[0-9]{2}")
_CODE_BEGINS = re.compile(r"[A-Z]{1,4}-?[0-9]?\Z")
"""Of an order: ABC123, INV-12; what has one digit begins sentences: B2B, F1."""
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_PARTING = re.compile(r"[–—/-]")
_SHORT = re.compile(r"[bcdfghjklmnpqrstvwxz]{2,4}")
"""Abbreviations, as no word is without a vowel."""
_JOINED = re.compile(r"[a-z]{2,}|[A-Z][a-z]+")
_MIN_WRAPPED_COLUMNS = 40
_MIN_WRAPPED_NAMES_COLUMNS = 55


def next_word(after: str, final: bool) -> str | None:
    """The first word of what follows, "" where there is none; None while it may grow."""
    start = len(after) - len(after.lstrip(_OPENERS))
    match = _WORD.match(after, start)
    end = match.end() if match else start
    rest = after[end:]
    if not final and len(after) < LOOK_AHEAD_CHARS and (not rest or rest in "'’"):
        return None
    return match[0] if match else ""


def ends_sentence(
    before: str, marks: str, closed: bool, at_start: bool, after: str, final: bool
) -> bool | None:
    """Whether `marks`, with white space behind them, end a sentence.

    before: what stands before them, its last LOOK_BACK_CHARS. closed: whether something closes
    between the marks and the white space. at_start: whether `before` is all of the sentence.
    after: what follows the white space, its first LOOK_AHEAD_CHARS.
    """
    following = after[:1]
    known = bool(following) or final
    continues = following != "" and (following.islower() or following in ",;:")
    if marks != ".":
        if "." not in marks and "…" not in marks and not closed:
            return True
        if not known:
            return None
        if continues or (following.isdigit() and not closed):
            return False
        if not closed and following == "I":
            # Capital wherever it stands: "Hm... I see."
            word = next_word(after, final)
            return None if word is None else word.split("'")[0].split("’")[0] != "I"
        return True
    whole = before.split()[-1] if before and not before[-1].isspace() else ""
    word = whole.lstrip(_OPENERS)
    key = _PARTING.split(word)[-1].lower()
    if before and not word:
        if following == ".":
            return False
        if not known or before.rstrip().endswith("."):
            # A lone stop may be the first of such dots as in "Well . . . yes."
            return None if not known else not continues
    alone = at_start and len(before.strip()) == len(whole)
    if key in NEVER:
        return False
    if following == "(" and (key in NUMBERED or key == "al"):
        return False  # "Smith et al. (2019)", "eq. (4)"
    if alone and word == whole and _OUTLINE.fullmatch(word):
        return False  # II. Methods
    if alone and word == whole and (word.isdecimal() or (len(word) == 1 and word.isalpha())):
        return False  # the number of a list's item
    verdict: bool | None
    if key == "v":
        verdict = False if after[:1].isdigit() else _after_name(after, final, False)
    elif key in NUMBERED or (len(word) == 1 and word.islower()):
        verdict = _after_numbered(key, after, known, continues and not alone, final)
    elif len(word) == 1 and word.isupper() and word != "I":
        verdict = _after_name(after, final, alone)  # an initial: J. S. Bach; or vitamin C.
    elif key in NUMBER_MAY_FOLLOW:
        verdict = _after_date(after, known, continues, final)
    elif key in CLOCK:
        verdict = _after_clock(after, known, continues, final)
    elif key in NAMED or (_DOTTED.fullmatch(word) and word[0].isupper()):
        verdict = _after_name(after, final, False)
    elif key in ENDERS or "." in word or closed or _SHORT.fullmatch(key):
        verdict = None if not known else not continues
    else:
        verdict = True
    return verdict


def ends_ordinal(before: str, after: str, final: bool) -> bool | None:
    """Whether the stop behind a number ends a sentence, in languages where such a stop makes it
    an ordinal: "am 3. Mai", "um 3. Dann"."""
    number = _LAST_NUMBER.search(before)
    if number is None or len(number[0]) > 2:
        return ends_sentence(before, ".", False, False, after, final)
    return _after_name(after, final, False)


def _after_numbered(key: str, after: str, known: bool, continues: bool, final: bool) -> bool | None:
    if not known:
        return None
    if continues or after[:1].isdigit():
        return False
    if len(key) > 1 and _CODE.match(after):
        return False
    if len(key) > 1 and not final and _CODE_BEGINS.match(after):
        return None
    if after[:1] in "IVXLC" and after[:1]:
        word = next_word(after, final)
        if word is None:
            return None
        if _ROMAN.fullmatch(word) or (len(word) == 1 and (word != "I" or key == "vol")):
            return False
    return True


def _after_name(after: str, final: bool, alone: bool) -> bool | None:
    if final and not after:
        return True
    if after[:1].islower() or after[:1] in (",", ";", ":"):
        return False
    word = next_word(after, final)
    if word is None:
        return None
    return word.lower().replace("’", "'") in STARTERS and not alone


def _after_date(after: str, known: bool, continues: bool, final: bool) -> bool | None:
    if not known:
        return None
    if continues or after[:1].isdigit():
        return False
    word = next_word(after, final)
    return None if word is None else word.lower() not in MONTHS


def _after_clock(after: str, known: bool, continues: bool, final: bool) -> bool | None:
    if not known:
        return None
    if continues:
        return False
    if not after[:1].isupper():
        return True
    word = next_word(after, final)
    return None if word is None else word.lower() not in AFTER_CLOCK


def ends_without_space(
    before: str, marks: str, closed: bool, after: str, final: bool
) -> bool | None:
    """Whether marks with no white space behind them end a sentence: "Great, thanks.And you?"."""
    following = after[0]
    if not set(marks).isdisjoint(WIDE_STOPS):
        return True
    if "…" in marks or "..." in marks:
        return False
    if is_wide(following):
        return "." not in marks or bool(before and is_wide(before[-1]))
    if not following.isupper():
        return False
    token = before.split()[-1] if before and not before[-1].isspace() else ""
    if any(c in token for c in "./@:\\_&=#") or (len(token) == len(before) >= LOOK_BACK_CHARS):
        return False
    match = _JOINED.search(token)
    if (
        match is None
        or match.end() != len(token)
        or token[match.start() - 1 : match.start()].isalnum()
    ):
        return False
    if token[0] in "(<[{" or (closed and "." in marks):
        return False
    word = next_word(after, final)
    if word is None:
        return None
    rest = after[after.find(word) + len(word) :]
    # Names of files, sites and programs go on with a sign: Node.Js/x, System.Out.println.
    if rest[:1] == ".":
        if len(rest) == 1 and not final and len(after) < LOOK_AHEAD_CHARS:
            return None
        if rest[1:2].isalnum():
            return False
    elif rest[:1] and rest[0] in "/@:\\_(=-":
        return False
    if token.islower() or "." not in marks:
        return word[1:].islower() or word.lower() in STARTERS
    return word.lower().replace("’", "'") in STARTERS


def goes_on(line: str, columns: int, wrapped: bool, after: str, final: bool) -> bool | None:
    """Whether a sentence goes on behind a line break that no stop stands before.

    line: the end of the line. columns: how long it is. wrapped: whether the line before it was
    broken where it was full. after: how the next line begins.
    """
    if not after:
        return False if final else None
    stripped = line.rstrip()
    last = stripped.rsplit(None, 1)[-1].lower() if stripped else ""
    open_ended = last in CONNECTING or last.endswith((",", "(", "-", "–", "—"))
    following = after[0]
    if last.endswith(".") and last[:-1].lstrip(_OPENERS) in NEVER:
        return True
    if following.islower():
        if columns >= _MIN_WRAPPED_COLUMNS or last in CONNECTING:
            return True
        word = next_word(after, final)
        return None if word is None else word.lower() in CONNECTING
    if last.endswith(":"):
        return False
    if following.isupper() or following.isdigit() or following in _OPENERS:
        return columns >= _MIN_WRAPPED_NAMES_COLUMNS and (open_ended or wrapped)
    return columns >= _MIN_WRAPPED_COLUMNS
