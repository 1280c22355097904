"""A sentence of the corpus, and what is fit to be one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from training.tokenizer import normalize

MIN_WORDS, MAX_WORDS = 1, 25
_MAX_CHARS = 180
_MARKUP = re.compile(r"[{}\[\]<>|\\_*^~#=`\x00-\x1f]|--|\.\.\.|(?:^|\s)/|&\w+;|https?:|www\.|@")
_ODD = re.compile(
    r"[^ -~€£°]|[A-Z]{4,}|[A-Za-z]\d|\d[A-Za-z]{3,}|[!?,;:]{2,}|\b(?:n|adj|v|adv)\.:|"
    r"\b(\w+) \1 \1\b"
)
_UNFIT = re.compile(
    r"\b(?:fuck|shit|cunt|bitch|whore|nigg|slut|rape[sd]?\b|raping|rapist|porn|penis|vagina|"
    r"dildo|orgasm|masturbat|faggot|fag\b|dyke|tits?\b|boobs?\b|cock\b|cocks\b|dick\b|dicks\b|"
    r"pussy|sex(?!t)|erotic|naked|nude|prostitut|condom|sperm|semen|testic|genital|buttock|piss|"
    r"bastard|asshole|ass\b|arse\b|screw(?:ed|ing)? (?:you|her|him)|negro|nazi|hitler|jew\b|jews\b|"
    r"jewish|retard|homosexual|lesbian|gay\b|whor|fornicat|adulter|harlot|concubine|circumcis|"
    r"foreskin|menstru|incest|molest|suicid|lynch|kike|spic\b|chink|gook|savages?\b|squaw|"
    r"slave|breasts?\b|bosom|copulat|intercourse|virgins?\b|crap\b|damn|dung\b|excrement|heroin|"
    r"cocaine|murder|rectum|anus|anal\b|urin(?:e|at|al)|feces|faeces|bowel|castrat|eunuch|lewd\b|lust(?:s|ed|ful)?\b)",
    re.IGNORECASE,
)
_PLAIN = re.compile(
    r"[A-Z]?[a-z]*(?:[,;:]? [A-Z]?[a-z]{2,}|,? [aI]|'(?:s|t|ll|re|ve|d|m)\b)*[.!?]?"
)
_NOT_PLAIN = re.compile(r"\b(?:etc|vs|blvd|inc|ltd|govt|jr|ok|mrs?|ms|st|dr)\b", re.IGNORECASE)
_NO_VOWEL = re.compile(r"(?!(?:tv|hmm|shh|nth|[b-z]'s)$)[^aeiouy]+(?:'[a-z]+)?")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_UNTIDY = re.compile(r"[^ -~]|[\"`]|''|--|\s{2}|\s[,.;:?!]|^\s|\s$")
_END = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[\"'(]?[A-Z])")
_ABBREVIATED = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Rev|Gen|Col|Capt|Sgt|Lt|Jr|Sr|No|vs|etc|Inc|Co|e\.g|i\.e|"
    r"U\.S|cf|Mt|Ave|Fig|[A-Z])\.)$"
)


@dataclass(frozen=True)
class Sentence:
    """`source` names where it comes from; `text` is as written, not yet normalised."""

    source: str
    text: str


def words(text: str) -> tuple[str, ...]:
    """Return the spoken words of a written text: lower case, numbers in words.

    Plain text, in which nothing is to be spelled out, takes a way that is 50 times shorter.
    """
    if _PLAIN.fullmatch(text) and not _NOT_PLAIN.search(text):
        return tuple(_WORD.findall(text.lower()))
    return tuple(_WORD.findall(normalize(text)))


def tidy(text: str) -> str:
    """Return text on one line, with plain quotes, and without double quotes around or in it."""
    if not _UNTIDY.search(text):
        return text
    text = text.replace("\u2019", "'").replace("\u2018", "'").replace("\u2014", ", ")
    text = re.sub(r"[\"\u201c\u201d]|``|''", "", text)
    text = re.sub(r"\s*--\s*", ", ", text)
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"\s+([,.;:?!])", r"\1", text)


def split(paragraph: str) -> list[str]:
    """Return the sentences of running text, each tidy."""
    sentences: list[str] = []
    for part in _END.split(re.sub(r"\s+", " ", paragraph).strip()):
        if sentences and _ABBREVIATED.search(sentences[-1]):
            sentences[-1] += " " + part
        else:
            sentences.append(part)
    return [tidy(sentence) for sentence in sentences if sentence]


def is_fit(text: str) -> bool:
    """Say whether a tidy text may be in the corpus: whole, decent and of the right length."""
    if not text or len(text) > _MAX_CHARS or not re.search("[a-zA-Z0-9]", text):
        return False
    if _UNFIT.search(text):
        return False
    if text.count("(") != text.count(")") or re.search(r"(?:^|\s)'\w[^']*$", text):
        return False
    return text.count(" ") < 2 * MAX_WORDS


def is_plain(text: str) -> bool:
    """Say whether a text that others wrote is prose: no markup, shouting, code or tables."""
    return not _MARKUP.search(text) and not _ODD.search(text)


def is_pronounceable(sequence: tuple[str, ...]) -> bool:
    """Say whether no word is a row of consonants, which every teacher reads in its own way."""
    return not any(len(word) > 1 and _NO_VOWEL.fullmatch(word) for word in sequence)


def is_sentence(text: str) -> bool:
    """Say whether a fit text also starts and ends like a sentence."""
    return text[:1].isupper() and text[-1:] in ".!?" and not text.endswith(" .")
