"""Abbreviations, titles and acronyms in full, or letter by letter."""

from __future__ import annotations

from training.text.rules import Rule, Rules

_LETTERS = (
    "USA US UK EU UN UAE AI API CIA FBI IBM ID ATM CEO CFO CTO USB URL UFO IQ DIY FAQ NBA MBA "
    "FDA DNA RNA IRS IOU IPO IV RSVP ASAP EPA VIP AM NYU UCLA ETA DOB SUV CPU GPU LED OK UI IP IT' "
    "NFL AC DJ"
).split()
"""Read as letters although they have a vowel; those without one are found by their form."""

_CONSONANT = "[BCDFGHJKLMNPQRSTVWXZ]"

_TITLES = {
    r"\b[Mm][Rr]\b\.?": "mister",
    r"\b[Mm]rs\b\.?": "missus",
    r"\bMs\b\.?": "miz",
    r"\b[Pp]rof\.": "professor",
    r"\b[Gg]en\.(?= [A-Z])": "general",
    r"\bCapt\.": "captain",
    r"\bSgt\.": "sergeant",
    r"\bLt\.": "lieutenant",
    r"\bCol\.": "colonel",
    r"\bGov\.": "governor",
    r"\bSen\.": "senator",
    r"\bRev\.": "reverend",
    r"\bHon\.": "honorable",
}

_WORDS = {
    r"\be\.g\.,?": "for example,",
    r"\bi\.e\.,?": "that is,",
    r"\betc\b": "et cetera",
    r"\bvs?\.(?= )|\bvs\b": "versus",
    r"\bno\. ?(?=\d)": "number ",
    r"\bapprox\.": "approximately",
    r"\bdept\.": "department",
    r"\best\.(?= \d)": "established",
    r"\bapt\.": "apartment",
    r"\bave\.": "avenue",
    r"\bblvd\b\.?": "boulevard",
    r"\brd\.": "road",
    r"\binc\b\.?": "incorporated",
    r"\bltd\b\.?": "limited",
    r"\bcorp\.": "corporation",
    r"\bbros\.": "brothers",
    r"\bgovt\b\.?": "government",
    r"\bmt\.": "mount",
    r"\bfig\.(?= ?\d)": "figure",
    r"\bvol\.(?= ?\d)": "volume",
    r"\bpp\. ?(?=\d)": "pages ",
    r"\bp\. ?(?=\d)": "page ",
    r"\bmisc\.": "miscellaneous",
    r"\btel\.": "telephone",
    r"\bext\.": "extension",
    r"\best\.": "estimated",
    r"\bw/o\b": "without",
    r"\bw/(?= ?[a-z])": "with ",
    r"\bjr\b\.?": "junior",
    r"\bsr\.": "senior",
    r"\bph\.?d\b\.?": "p h d",
    r"\bok\b": "okay",
}


def spelled(letters: str) -> str:
    """Return letters apart; a is written ay, which is how it is said by itself."""
    return " ".join("ay" if letter == "a" else letter for letter in letters.lower())


def _cased() -> list[Rule]:
    rules = [Rule(pattern, content) for pattern, content in _TITLES.items()]
    rules += [
        Rule(r"\bDr\.? (?=[A-Z])|\bdr\. ?", "doctor "),
        Rule(r"(?<=[A-Z][a-z]{1,20} )Dr\b\.?", "drive"),
        Rule(r"\bDr\.", "doctor"),
        Rule(r"(?<=\d [A-Z][a-z]{1,20} )St\b\.?", "street"),
        Rule(r"\bSt\.? (?=[A-Z])|\bst\. ", "saint "),
        Rule(r"\bSt\.", "street"),
        Rule(r"(?<=[a-z] )III\b", "three"),
        Rule(r"(?<=[a-z] )II\b", "two"),
    ]
    rules += [
        Rule(rf"\b{letters}(?=s?\b)", spelled(letters)) for letters in _LETTERS if letters.isalpha()
    ]
    return [
        *rules,
        Rule(rf"(?<=\b{_CONSONANT}{{1,4}})(?={_CONSONANT}{{1,4}}s?\b)", " "),
        # U.S. and J. K. Rowling: no full stop is meant, unless the sentence ends.
        Rule(r"(?<=\b[A-Za-z])\.(?=[A-Za-z]\b)", " "),
        Rule(r"(?<=[A-Z] [A-Z])\.(?=,| [a-z]|'s)", ""),
        Rule(r"(?<=\b[A-Z])\.(?= ?[A-Z][a-z.])", " "),
    ]


CASED_RULES: Rules = tuple(_cased())
"""To run before lower case."""

RULES: Rules = tuple(Rule(pattern, content) for pattern, content in _WORDS.items())
