"""Abbreviations in full, where what stands around them says which word is meant."""

import re

from gateway.text.spoken.rule import DIGIT, Rule, any_of, rule, word_after, word_before, word_set

# Always that word, before anything.
_WORDS: dict[str, str] = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Messrs": "Messieurs",
    "Prof": "Professor",
    "Gen": "General",
    "Capt": "Captain",
    "Cpt": "Captain",
    "Cmdr": "Commander",
    "Sgt": "Sergeant",
    "Lt": "Lieutenant",
    "Col": "Colonel",
    "Maj": "Major",
    "Cpl": "Corporal",
    "Pvt": "Private",
    "Adm": "Admiral",
    "Gov": "Governor",
    "Sen": "Senator",
    "Rep": "Representative",
    "Rev": "Reverend",
    "Hon": "Honorable",
    "Pres": "President",
    "Supt": "Superintendent",
    "Atty": "Attorney",
    "Mt": "Mount",
    "Ft": "Fort",
    "Jr": "Junior",
    "Sr": "Senior",
    "Esq": "Esquire",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Corp": "Corporation",
    "Co": "Company",
    "Bros": "Brothers",
    "Assn": "Association",
    "Univ": "University",
    "Inst": "Institute",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Ln": "Lane",
    "Ct": "Court",
    "Pl": "Place",
    "Pkwy": "Parkway",
    "Hwy": "Highway",
    "Sq": "Square",
    "Bldg": "Building",
    "dept": "department",
    "approx": "approximately",
    "appt": "appointment",
    "misc": "miscellaneous",
    "govt": "government",
    "est": "estimated",
    "avg": "average",
    "max": "maximum",
    "temp": "temperature",
    "tel": "telephone",
    "ext": "extension",
    "apt": "apartment",
    "ste": "suite",
    "vs": "versus",
    "etc": "et cetera",
    "cf": "compare",
    "ca": "circa",
    "resp": "respectively",
    "incl": "including",
    "excl": "excluding",
    "esp": "especially",
    "orig": "originally",
    "intl": "international",
    "natl": "national",
    "dist": "district",
    "div": "division",
    "ed": "edition",
    "eds": "editors",
    "trans": "translated",
    "viz": "namely",
    "ibid": "ibidem",
    "attn": "attention",
    "assoc": "associate",
    "asst": "assistant",
    "qty": "quantity",
    "tbsp": "tablespoon",
    "tsp": "teaspoon",
    "al": "al",
    "std": "standard",
    "wt": "weight",
    "yrs": "years",
    "hrs": "hours",
    "mins": "minutes",
    "secs": "seconds",
}
_ANY_CASE = frozenset(word for word in _WORDS if word.islower())
_NO_DOT = word_set("Mr Mrs Ms vs Jr Sr Inc Ltd dept govt approx Blvd Hwy Pkwy Sgt Capt Lt")
"""Read in full without their dot too."""
_BEFORE_NAME = word_set(
    "Gen Col Maj Rep Hon Pres Sen Adm Mt Ft Gov Rev Lt Capt Prof Mr Mrs Ms Supt Atty Cpl Pvt"
)
_BEFORE_CAPITAL = word_set("Gen Col Maj Rep Hon Pres Adm Mt Ft")
"""Words of their own unless a name follows."""
_OPENERS = word_set("The She He It They We I You A An In On At But And This That There My His Her")
"""Words that begin a sentence far more often than a name."""
_BEHIND_NAME = word_set("Ave Blvd Rd Ln Ct Pl Sq Co")

# Only before a number (or a letter that stands for one).
_NUMBERED: dict[str, str] = {
    "no": "number",
    "nos": "numbers",
    "nr": "number",
    "p": "page",
    "pp": "pages",
    "pg": "page",
    "vol": "volume",
    "vols": "volumes",
    "fig": "figure",
    "figs": "figures",
    "ch": "chapter",
    "chap": "chapter",
    "sec": "section",
    "sect": "section",
    "art": "article",
    "eq": "equation",
    "ex": "example",
    "app": "appendix",
    "par": "paragraph",
    "v": "verse",
    "l": "line",
    "ll": "lines",
    "n": "note",
    "c": "circa",
    "min": "minimum",
    "ver": "version",
    "rm": "room",
    "tab": "table",
    "lvl": "level",
    "est": "established",
    "op": "opus",
    "ser": "series",
    "ph": "phone",
}
_DOTTED: tuple[tuple[str, str], ...] = (
    (r"\b([eE])\.? ?g\.(?:,|(?!\w))", "for example"),
    (r"\b([iI])\.? ?e\.(?:,|(?!\w))", "that is"),
    (r"\b([aA])\.?k\.?a\b\.?", "also known as"),
    (r"\b([nN])\.?b\.(?!\w)", "note well"),
    (r"\b([wW])\.?r\.?t\b\.?", "with respect to"),
)
_STROKES = {
    "w/o": "without",
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
    return not after.strip()


def _word(match: re.Match[str]) -> str | None:
    written, dot = match["word"], match["dot"]
    key = written if written in _WORDS else written.lower()
    if key not in _WORDS or (key not in _ANY_CASE and key != written):
        return None
    if not dot and key not in _NO_DOT:
        return None
    after = match.string[match.end() : match.end() + 2]
    if key in _BEFORE_CAPITAL and not after[1:].isupper():
        return None
    if key in _BEHIND_NAME and not _behind_name(match):
        return None
    new_sentence = bool(dot) and key not in _BEFORE_NAME and after[1:].isupper()
    ends = dot and (_ends(match) or (new_sentence and key in ("etc", "al")))
    return _case(written, _WORDS[key]) + ("." if ends else "")


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
    ends = match["dot"] and (_ends(match) or word_after(match) in _OPENERS)
    return "Street" + ("." if ends else "")


_NAME = r"(?!Mount|Port|Lake|Fort|Sault|Bay|In|At|The)[A-Z][a-z]{1,20}"
_STREET = re.compile(
    rf"(?:\d |[a-z],? )(?:[NSEW]\.? )?(?:{_NAME} |\d{{1,3}}(?:st|nd|rd|th) ){{1,3}}\Z"
)


def _is_street(match: re.Match[str]) -> bool:
    """Whether a street's name stands before, in the midst of a sentence: on Main St. Paul left."""
    before = match.string[max(0, match.start() - 48) : match.start()]
    return _STREET.search(before) is not None


def _numbered(match: re.Match[str]) -> str:
    return _case(match["word"], _NUMBERED[match["word"].lower()]) + " "


def _dotted(pattern: str, words: str) -> Rule:
    return rule(
        pattern,
        lambda match: _case(match[1], words) + ("," if match[0][-1] == "," else ""),
        _LETTER_DOT,
    )


def _initials(match: re.Match[str]) -> str:
    """U.S., A.I., J. R. R.: letters apart; the dot stays where the sentence ends."""
    letters = [char for char in match[0] if char.isalpha()]
    plural = match["tail"] or ""
    return " ".join(letters) + plural + ("." if match[0].endswith(".") and _ends(match) else "")


def _degree(match: re.Match[str]) -> str:
    return " ".join(char.upper() for char in match["it"] if char.isalpha()) + (
        "." if match["it"].endswith(".") and _ends(match) else ""
    )


_LETTER_DOT = re.compile(r"[egkbrtaEGKBRTA]\.|aka|wrt")
_INITIAL = re.compile(r"[A-Z]\. ?[A-Z]")
_LOWER_OR_TITLE = any_of([*_WORDS, *(word.title() for word in _ANY_CASE)])
_NUMBERED_WORDS = any_of([*_NUMBERED, *(word.title() for word in _NUMBERED)])

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
    rule(rf"(?<![\w.-])(?P<word>{_NUMBERED_WORDS})\. ?(?=#?\d)", _numbered, DIGIT),
    rule(r"(?<![\w.])(?P<it>[AaPp]\.m\.)(?!\w)", _degree, re.compile(r"[AaPp]\.m\.")),
    rule(r"\bDr(?P<dot>\.)?(?!\w)", _doctor_or_drive, re.compile("Dr")),
    rule(r"\bSt(?P<dot>\.)?(?![\w'])", _saint_or_street, re.compile(r"\bSt\b")),
    rule(rf"(?<![\w.-])(?P<word>{_LOWER_OR_TITLE})(?P<dot>\.)?(?![\w-])", _word),
    rule(
        r"(?<![\w.])(?:[A-Z]\.){2,12}+(?P<tail>'?s\b)?(?!\w)",
        _initials,
        re.compile(r"[A-Z]\.[A-Z]"),
    ),
    # J. K. Rowling: an initial and its name.
    rule(r"(?<![\w.'])(?<![A-Z] )[A-Z](?P<it>\.)(?= [A-Z][\w.])", "", _INITIAL),
)
