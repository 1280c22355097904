"""Characters: quotes, dashes, brackets, signs, and what is left when all is read."""

from __future__ import annotations

from training.text.rules import PREFIX_DIGITS, Rule, Rules

_PREFIX = f"[{PREFIX_DIGITS}]"

_FRACTIONS = {"½": "half", "¼": "quarter", "¾": "three quarters", "⅓": "third", "⅔": "two thirds"}
_SPELLED_FRACTIONS = {
    "1/2": "one half",
    "1/3": "one third",
    "2/3": "two thirds",
    "1/4": "one quarter",
    "3/4": "three quarters",
}
_SIGNS = {
    "&": " and ",
    "@": " at ",
    r"\+": " plus ",
    "=": " equals ",
    "\u00d7": " times ",
    "÷": " divided by ",
    "±": " plus or minus ",
    "<": " less than ",
    ">": " greater than ",
}
_LETTERS = {"æ": "ae", "œ": "oe", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
_DOMAINS = "com|org|net|io|co|edu|gov|uk|de|ai|dev|app|html"


def _written() -> list[Rule]:
    """Before compatibility decomposition: marks and fractions it would take apart."""
    rules = [
        Rule(r"[\u00ad\u200b-\u200f\u2060\ufeff\ufe0f]", ""),
        Rule(r"[\u2019\u2018\u201b\u02bc\u00b4\u2032]", "'"),
        Rule("[™®©]", ""),
        *_markdown(),
    ]
    for sign, word in _FRACTIONS.items():
        article = "" if " " in word else "a "
        rules.append(Rule(rf"(?<=\d) ?{sign}", f" and {article}{word}"))
        rules.append(Rule(sign, f"{'' if ' ' in word else 'one '}{word}"))
    return rules


def _markdown() -> list[Rule]:
    """What language models write: headings, lists, links."""
    bullet = r"(?:#{1,6}|>|[-*+\u2022])"
    return [
        Rule(rf"(?<=[^\s.,;:?!])[ \t]*\n[ \t]*(?:{bullet}[ \t]+|(?=\d{{1,2}}[.)][ \t]))", ". "),
        Rule(rf"(?:\A|(?<=\n)|(?<=\A\[{_PREFIX}{{1,5}}\]))[ \t]*{bullet}[ \t]+", ""),
        Rule(rf"(?<!{_PREFIX})\]\([^) ]*\)", ""),
        Rule(r"!?\[(?=[^\[\]]*(?:\[|\z))", ""),
        Rule("[`*~]+", ""),
    ]


def _protect() -> list[Rule]:
    """The template's speaker number steps aside; a user's marks are dropped."""
    return [
        Rule(r"\p{Co}", ""),
        *(
            Rule(
                rf"(?<=\A\[[\d{PREFIX_DIGITS}]{{0,4}}){digit}(?=[\d{PREFIX_DIGITS}]{{0,4}}\])", mark
            )
            for digit, mark in enumerate(PREFIX_DIGITS)
        ),
    ]


def _cased() -> list[Rule]:
    """Where a line or a row of dots ends a sentence, and where not."""
    return [
        Rule(r"(?<=[^\s.,;:?!-])[ \t]*(?:\r?\n[ \t]*){2,}", ". "),
        Rule(r"\s+", " "),
        Rule(r"[.…]{2,}(?= ?[a-z])|…(?= ?[a-z])", ", "),
        Rule(r"\.{2,}|…", "."),
    ]


def _signs() -> list[Rule]:
    """Lower case, before the numbers are read."""
    rules = [Rule(letter, plain) for letter, plain in _LETTERS.items()]
    rules += [
        Rule(r"https?://(?:www\.)?", ""),
        Rule(rf"(?<=[a-z\d])\.(?=(?:[a-z\d-]+\.)*(?:{_DOMAINS})(?![a-z]))", " dot "),
        Rule(r"[\u2212\u2012\u2010\u2011]", "-"),
        Rule(r"(?<=\d)\u2013(?=[\d$€£])", "-"),
        Rule(r" ?(?:[\u2013-\u2015]|--+) ?| - (?=[^\d])", ", "),
        Rule(r"(?<=\d) - (?=\d+ ?=)", " minus "),
        Rule(r"(?<=\d)-(?=[$€£])|(?<=\d) - (?=[$€£]?\d)|(?<=[$€£]\d{1,9})-(?=\d)", " to "),
        Rule(r"(?<![\w)])-(?=[$€£]?\.?\d)", " minus "),
        Rule(r"(?<=\d) ?x ?(?=\d)", " by "),
        Rule(r"(?<=\(\d{3})\) ?(?=\d{3}[-.])", "-"),
        Rule(r"\((?=\d{3}-)", ""),
        Rule(r"(?<=\d)'(?=\d{1,2}\")", " foot "),
        Rule(r'["“”„«»^{}\\|_]', " "),
        Rule(r"(?<=\bc)#", " sharp"),
        Rule(r"#(?=\d)", "number "),
        Rule("#", " hashtag "),
        Rule(r"\b24/7", "24 7"),
        Rule(r"\band/or\b", "and or"),
    ]
    rules += [
        Rule(
            rf"(?<=\d ){fraction}(?![\d/])",
            f"and {'a ' if words[:3] == 'one' else ''}" + words.removeprefix("one "),
        )
        for fraction, words in _SPELLED_FRACTIONS.items()
    ]
    rules += [
        Rule(rf"(?<![\d/]){fraction}(?![\d/])", words)
        for fraction, words in _SPELLED_FRACTIONS.items()
    ]
    rules += [Rule(sign, word) for sign, word in _SIGNS.items()]
    return rules


def _rest() -> list[Rule]:
    """All is in words: the punctuation that is left becomes the little the model knows."""
    return [
        Rule(r"(?<=\d) ?/ ?(?=\d)", " over "),
        Rule("/", " slash "),
        Rule(r"[;:()]", ", "),
        Rule(rf"\[(?!{_PREFIX})|(?<!{_PREFIX})\]", ", "),
    ]


def _clean() -> list[Rule]:
    return [
        Rule(rf"[^ a-z',.?!\-\[\]{PREFIX_DIGITS}]", ""),
        Rule(r"(?<![a-z])'|'(?![a-z])", ""),
        Rule(r"(?<![a-z])-|-(?![a-z])", " "),
        Rule(" {2,}", " "),
        Rule(" (?=[,.?!])", ""),
        Rule(r"[,.!?]*\?[ ,.!?]*(?<=[,.!?])", "?"),
        Rule(r"[,.!]*![ ,.!]*(?<=[,.!])", "!"),
        Rule(r"[,.]*\.[ ,.]*(?<=[,.])", "."),
        Rule(",[ ,]*(?<=,)", ","),
        Rule(r"(?<=[,.?!])(?=[a-z])", " "),
        Rule(rf"\A[ ,.?!\-]+|(?<=\A\[{_PREFIX}{{1,5}}\])[ ,.?!\-]+", ""),
        Rule(r" +\z", ""),
        # A sentence ends with a mark, so that its end is heard and learned alike.
        Rule(r"(?<=[a-z])\z", "."),
        *(Rule(mark, str(digit)) for digit, mark in enumerate(PREFIX_DIGITS)),
    ]


WRITTEN_RULES: Rules = tuple(_written())
PREFIX_RULES: Rules = tuple(_protect())
"""First of all."""
CASED_RULES: Rules = tuple(_cased())
SIGN_RULES: Rules = tuple(_signs())
REST_RULES: Rules = tuple(_rest())
CLEAN_RULES: Rules = tuple(_clean())
"""Last of all."""
