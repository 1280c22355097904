"""Abbreviations in full, where what stands around them says which word is meant."""

import re

from gateway.text.spoken.abbreviation_words import (
    ANY_CASE,
    BEFORE_CAPITAL,
    BEHIND_NAME,
    FIRST_NAMES,
    LAST,
    NO_DOT,
    NUMBERED,
    OPENERS,
    WORDS,
)
from gateway.text.spoken.rule import Rule, any_of, rule, word_after, word_before

_DOTTED: tuple[tuple[str, str], ...] = (
    (r"\b([eE])\.? ?g\.(?:,|(?!\w))", "for example"),
    (r"\b([iI])\.? ?e\.(?:,|(?!\w))", "that is"),
    (r"\b([aA])\.?k\.?a\b\.?", "also known as"),
    (r"\b([nN])\.?b\.(?!\w)", "note well"),
    (r"\b([wW])\.?r\.?t\b\.?", "with respect to"),
)
_STROKES = {
    "w/o": "without",
    "w/out": "without",
    "w/in": "within",
    "w/": "with ",
    "c/o": "care of",
    "b/c": "because",
    "and/or": "and or",
    "n/a": "not applicable",
    "a/c": "A C",
}


def _case(written: str, word: str) -> str:
    return word[0].upper() + word[1:] if written[0].isupper() else word


def _ends(match: re.Match[str]) -> bool:
    """Whether a match ends the sentence too, so that its dot stays: the end, or a new sentence."""
    after = match.string[match.end() : match.end() + 8].lstrip("\"')]")
    return not after.strip() or word_after(match) in OPENERS


def _word(match: re.Match[str]) -> str | None:
    written, dot = match["word"], match["dot"]
    key = written if written in WORDS else written.lower()
    if key not in WORDS or (key not in ANY_CASE and key != written):
        return None
    if not dot and key not in NO_DOT:
        return None
    after = match.string[match.end() : match.end() + 2]
    if written in FIRST_NAMES and _is_first_name(match):
        return None
    if key in BEFORE_CAPITAL and not after[1:].isupper():
        return None
    if key in BEHIND_NAME and not _behind_name(match):
        return None
    ends = dot and key in LAST and (_ends(match) or (key == "etc" and after[1:].isupper()))
    ends = ends or (dot and not match.string[match.end() : match.end() + 4].strip("\"') "))
    return _case(written, WORDS[key]) + ("." if ends else "")


def _is_first_name(match: re.Match[str]) -> bool:
    """Thanks, Max. But: Max. 5 kg, Max. speed, 2nd Ed."""
    after = match.string[match.end() : match.end() + 2].strip()
    if after.isdecimal() or after.islower():
        return False
    return not _EDITION.search(match.string, max(0, match.start() - 10), match.start())


def _behind_name(match: re.Match[str]) -> bool:
    before = (
        match.string[max(0, match.start() - 24) : match.start()].rstrip(" &").rpartition(" ")[2]
    )
    return before[:1].isupper() or before[:1].isdecimal()


def _doctor_or_drive(match: re.Match[str]) -> str | None:
    """Dr. Smith, Oak Dr., 12 Elm Dr. Boston."""
    after = match.string[match.end() : match.end() + 2]
    named = _behind_name(match) and word_before(match) not in ("and", "the", "dear", "with", "or")
    if match["dot"] is None and not (after[:1] == " " and after[1:].isupper()):
        return None
    if named and (not after[1:].isupper()):
        return "Drive" + ("." if match["dot"] and _ends(match) else "")
    return "Doctor" + ("." if match["dot"] and _ends(match) else "")


def _saint_or_street(match: re.Match[str]) -> str | None:
    """Main St., 5 Main St. Boston, St. Paul."""
    after = match.string[match.end() : match.end() + 2]
    if after[:1] == " " and after[1:].isupper() and not _is_street(match):
        return "Saint"
    if not match["dot"] and not _behind_name(match):
        return None
    ends = match["dot"] and _ends(match)
    return "Street" + ("." if ends else "")


_EDITION = re.compile(r"(?:\d(?:st|nd|rd|th)|first|second|third|[Rr]evised) \Z")
_NAME = r"(?!Mount|Port|Lake|Fort|Sault|Bay|In|At|The)[A-Z][a-z]{1,20}"
_STREET = re.compile(
    rf"(?:\d |[a-z],? )(?:[NSEW]\.? )?(?:{_NAME} |\d{{1,3}}(?:st|nd|rd|th) ){{1,3}}\Z"
)


def _is_street(match: re.Match[str]) -> bool:
    """Whether a street's name stands before, in the midst of a sentence: on Main St. Paul left."""
    before = match.string[max(0, match.start() - 48) : match.start()]
    return _STREET.search(before) is not None


def _numbered(match: re.Match[str]) -> str | None:
    if match[0] in ("v.", "V."):
        return "version "  # v.2, and not the verse of v. 2
    if match["word"] in "cC" and not (
        match["word"] == "c" and _YEAR.match(match.string, match.end())
    ):
        return None  # c. 1850, but C. 5 is an item of a list
    return _case(match["word"], NUMBERED[match["word"].lower()]) + " "


def _dotted(pattern: str, words: str) -> Rule:
    def say(match: re.Match[str]) -> str:
        # A pause is heard behind "for example", written or not.
        spaced = match.string[match.end() : match.end() + 1] == " "
        paused = match[0].endswith(",") or (spaced and words in ("for example", "that is"))
        return _case(match[1], words) + ("," if paused else "")

    return rule(pattern, say, _LETTER_DOT)


def _initials(match: re.Match[str]) -> str:
    """U.S., A.I., J. R. R.: letters apart; the dot stays where the sentence ends."""
    letters = [char for char in match[0] if char.isupper()]
    plural = match["tail"] or ""
    return " ".join(letters) + plural + ("." if match[0].endswith(".") and _ends(match) else "")


def _initial(match: re.Match[str]) -> str | None:
    """J. K. Rowling, but "plan B. They"."""
    return None if word_after(match) in OPENERS else ""


def _degree(match: re.Match[str]) -> str:
    return " ".join(char.upper() for char in match["it"] if char.isalpha()) + (
        "." if match["it"].endswith(".") and _ends(match) else ""
    )


_YEAR = re.compile(r"\d{3}")
_DIRECTIONS = {"N": "North", "S": "South", "E": "East", "W": "West"}
_LETTER_DOT = re.compile(r"[egkbrtaEGKBRTA]\.|aka|wrt")
_INITIAL = re.compile(r"[A-Z]\. ?[A-Z]")
_LOWER_OR_TITLE = any_of([*WORDS, *(word.title() for word in ANY_CASE)])
_NUMBERED_WORDS = any_of([*NUMBERED, *(word.title() for word in NUMBERED)])

RULES: tuple[Rule, ...] = (
    *(_dotted(pattern, words) for pattern, words in _DOTTED),
    rule(
        rf"(?i:(?<![\w.]){any_of(_STROKES)}(?:(?<=/)|(?![\w/])))",
        lambda match: _case(match[0], _STROKES[match[0].lower()]),
        re.compile(r"\b\w{1,3}/"),
    ),
    rule(
        r"\b(?P<it>[Pp]h\.? ?D\.?(?!\w)|[BM]\.?Sc\b\.?|[BM]\. ?[AS]\.(?!\w))",
        _degree,
        re.compile(r"[Pp]h\.? ?D|Sc|[BM]\. ?[AS]\."),
    ),
    rule(rf"(?<![\w.-])(?P<word>{_NUMBERED_WORDS})\. ?(?=#?\d|(?!I\b)[IVX]++(?!\w))", _numbered),
    rule(r"(?<![\w.-])(?P<word>[Nn]os?)\. (?=[A-Z]{1,4}-?\d\d)", _numbered),
    rule(r"(?<![\w.])(?P<it>[AaPp]\.m\.)(?!\w)", _degree, re.compile(r"[AaPp]\.m\.")),
    rule(r"\bDr(?P<dot>\.)?(?!\w)", _doctor_or_drive, re.compile("Dr")),
    # 22 W. 34th St.: neither watts nor the end of a sentence.
    rule(
        r"(?<=\d )(?P<it>(?P<side>[NSEW])\.?) "
        r"(?=\d{1,3}(?:st|nd|rd|th) [A-Z]|(?:[A-Z][a-z]{1,20} ){1,2}(?:St|Ave|Blvd|Rd|Ln|Ct|Pl)\b)",
        lambda match: _DIRECTIONS[match["side"]],
        re.compile(r"\d [NSEW]"),
    ),
    rule(r"\bSt(?P<dot>\.)?(?![\w'])", _saint_or_street, re.compile(r"\bSt\b")),
    # Not the last part of an address at the end of a sentence: /tmp.
    rule(
        rf"(?<![\w.-])(?<!slash )(?P<word>{_LOWER_OR_TITLE})"
        r"(?:(?P<dot>\.(?![a-z\d.-]))|(?![\w-]))",
        _word,
    ),
    rule(
        r"(?<![\w.])(?:[A-Z]\.){2,12}+(?P<tail>'?s\b)?(?!\w)",
        _initials,
        re.compile(r"[A-Z]\.[A-Z]"),
    ),
    # J. K. Rowling: an initial and its name.
    rule(r"(?<![\w.'])(?<![A-Z] )[A-HJ-Z](?P<it>\.)(?= [A-Z][\w.])", _initial, _INITIAL),
)
