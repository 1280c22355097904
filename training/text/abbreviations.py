"""Abbreviations, titles and acronyms in full, or letter by letter."""

from __future__ import annotations

from training.text.rules import Rule, Rules

_LETTERS = [
    "US",
    "UK",
    "EU",
    "UN",
    "UAE",
    "AI",
    "API",
    "CIA",
    "FBI",
    "IBM",
    "ID",
    "ATM",
    "NYC",
    "CEO",
    "CFO",
    "CTO",
    "USB",
    "URL",
    "UFO",
    "IQ",
    "DIY",
    "FAQ",
    "NBA",
    "MBA",
    "FDA",
    "DNA",
    "RNA",
    "IRS",
    "IOU",
    "IPO",
    "IV",
    "RSVP",
    "ASAP",
    "EPA",
    "VIP",
    "NYU",
    "UCLA",
    "ETA",
    "DOB",
    "SUV",
    "CPU",
    "GPU",
    "LED",
    "UI",
    "IP",
    "NFL",
    "AC",
    "DJ",
]
"""Read as letters although they have a vowel; those without one are found by their form."""

_CONSONANT = "[BCDFGHJKLMNPQRSTVWXZ]"

_TITLES = {
    r"\b[Ee]\.g\.,?": "for example,",
    r"\b[Ii]\.e\.,?": "that is,",
    r"\b[Aa]\.?[Kk]\.?[Aa]\b\.?(?= )": "also known as",
    r"\b[Ee]tc\.(?=,| [a-z])": "et cetera",
    r"\bU\.?S\.?A\b(?:\.(?=,| [a-z]))?": "u s ay",
    r"\bvs?\.(?= )|\bvs\b": "versus",
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
    r"\betc\b": "et cetera",
    r"\bhmm+\b": "hum",
    r"\bshh+\b": "shush",
    r"\bmm+\b": "um",
    r"\bmhm+\b": "uh huh",
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


_ROMAN = {
    "II": "two",
    "III": "three",
    "IV": "four",
    "VI": "six",
    "VII": "seven",
    "VIII": "eight",
    "IX": "nine",
    "XI": "eleven",
    "XII": "twelve",
    "XIII": "thirteen",
    "XIV": "fourteen",
    "XV": "fifteen",
    "XVI": "sixteen",
    "XX": "twenty",
    "XXI": "twenty one",
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
    ]
    rules += [Rule(rf"(?<=[a-z] ){roman}\b", number) for roman, number in _ROMAN.items()]
    rules += [Rule(rf"\b{letters}(?=s?(?![A-Za-z]))", spelled(letters)) for letters in _LETTERS]
    return [
        *rules,
        Rule(
            rf"(?<=\A{_CONSONANT}{{1,4}}|[^A-Za-z']{_CONSONANT}{{1,4}})"
            rf"(?={_CONSONANT}{{1,4}}s?(?![A-Za-z]))",
            " ",
        ),
        Rule(rf"(?<=[^A-Za-z]{_CONSONANT} {_CONSONANT})(?=s(?![A-Za-z]))", "'"),
        # U.S. and J. K. Rowling: no full stop is meant, unless the sentence ends.
        Rule(r"(?<=\b[A-Za-z])\.(?=[A-Za-z]\b)", " "),
        # S-M-I-T-H is spelled.
        Rule(r"(?<=\b[A-Z])-(?=[A-Z]\b)", " "),
        Rule(r"(?<=[Ll]etter |[Vv]itamin |[Gg]rade )A\b", "ay"),
        Rule(r"(?<=\b[A-Z] )A\b|\bA(?= [A-Z]\b|\+)", "ay"),
        Rule(r"(?<=(?:[A-Z]|ay) (?:[A-Z]|ay))\.(?=,| [a-z]|'s)", ""),
        Rule(r"(?<=\b[A-Z])\.(?= ?[A-Z][a-z.])", " "),
    ]


CASED_RULES: Rules = tuple(_cased())
"""To run before lower case."""

RULES: Rules = tuple(Rule(pattern, content) for pattern, content in _WORDS.items())
