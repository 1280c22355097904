"""Signs by name, and dashes, quotes and runs of marks as pauses."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import re

from gateway.text.spoken import differences
from gateway.text.spoken.rates import TIMES
from gateway.text.spoken.rule import Rule, any_of, rule

_NAMES: dict[str, str] = {
    "&": "and",
    "@": "at",
    "+": "plus",
    "=": "equals",
    "%": "percent",
    "\\": "backslash",
    "±": "plus or minus",
    "×": "times",
    "÷": "divided by",
    "≠": "is not equal to",
    "≤": "less than or equal to",
    "≥": "greater than or equal to",
    "≈": "approximately",
    "≡": "is identical to",
    "∝": "is proportional to",
    "∞": "infinity",
    "√": "square root of",
    "∛": "cube root of",
    "∑": "sum of",
    "∏": "product of",
    "∫": "integral of",
    "∂": "partial",
    "∆": "delta",
    "∇": "nabla",
    "∈": "in",
    "∉": "not in",
    "∪": "union",
    "∩": "intersection",
    "⊂": "subset of",
    "∀": "for all",
    "∃": "there exists",
    "¬": "not",
    "∧": "and",
    "∨": "or",
    "∴": "therefore",
    "∵": "because",
    "→": "to",
    "⇒": "implies",
    "↔": "to and from",
    "⇔": "if and only if",
    "←": "from",
    "↑": "up",
    "↓": "down",
    "§": "section",
    "¶": "paragraph",
    "©": "copyright",
    "°": "degrees",
    "Ω": "ohms",
    "$": "dollars",
    "€": "euros",
    "£": "pounds",
    "¥": "yen",
    "₹": "rupees",
    "¢": "cents",
    "♯": "sharp",
    "♭": "flat",
    "✓": "check",
    "✔": "check",
    "½": "half",
    "#": "hash",
    "<": "less than",
    ">": "greater than",
    "~": "about",
    "^": "caret",
}
_GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "ι": "iota",
    "κ": "kappa",
    "λ": "lambda",
    "μ": "mu",
    "ν": "nu",
    "ξ": "xi",
    "ο": "omicron",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "τ": "tau",
    "υ": "upsilon",
    "φ": "phi",
    "χ": "chi",
    "ψ": "psi",
    "ω": "omega",
}
_GREEK |= {letter.upper(): name for letter, name in _GREEK.items()} | {"ς": "sigma"}
_ARROWS = {"->": "to", "-->": "to", "=>": "implies", "<-": "from", "<=": "less than or equal to"}
_ARROWS |= {">=": "greater than or equal to", "!=": "is not equal to", "==": "equals"}
_ARROWS |= {"+/-": "plus or minus", "&&": "and", "||": "or", "<>": "is not equal to", "::": ":"}
_COMPARED = ("less", "greater")
_MORE = {"<": "less than", ">": "more than"}


_PREFIXED = re.compile(r"(?:\A|\s|\()[<>][^\s<>]")


def _spaced(word: str) -> str:
    return f" {word} "


def _is(match: re.Match[str]) -> bool:
    """Whether something is compared with what follows: 5 < 10 is a sentence, ≥5 is none."""
    before = match.string[max(0, match.start() - 3) : match.start()].rstrip()
    return before[-1:].isalnum() or before[-1:] == ")"


def _arrow(match: re.Match[str]) -> str:
    name = _ARROWS[match[0]]
    return _spaced(f"is {name}" if name.startswith(_COMPARED) and _is(match) else name)


def _sign(match: re.Match[str]) -> str:
    name = _NAMES[match[0]]
    if match[0] in _MORE and _PREFIXED.match(match.string, max(0, match.start() - 1)):
        return _spaced(_MORE[match[0]])  # >50, and not 5 > 3
    return _spaced(f"is {name}" if name.startswith(_COMPARED) and _is(match) else name)


def _greek(match: re.Match[str]) -> str:
    return _GREEK[match[0]]


def _marks(match: re.Match[str]) -> str:
    """A run of marks as one: !!!! is !, ???!!! is ?!, ..... is an ellipsis."""
    run = match[0]
    if set(run) <= set("."):
        return "..." if len(run) > 2 else "."
    # The dot of "etc.?" is the word's.
    dot = "." if run[0] == "." and run[1] != "." else ""
    return dot + ("?" if "?" in run else "") + ("!" if "!" in run else "")


def _space(match: re.Match[str]) -> str:
    """A blank line ends a sentence that has no mark."""
    last = match.string[match.start() - 1] if match.start() else ""
    ends = match[0].count("\n") > 1 and last.isalnum() and match.end() < len(match.string)
    return ". " if ends else " "


EARLY: tuple[Rule, ...] = (
    # A rule of signs says nothing.
    rule(
        r"([-=_*#~+/\\|^<>$%&@:;,])\1{3,}+|([=_*#~|^])\2\2++",
        " ",
        re.compile(r"[-=_*#~+/\\|^<>$%&@:;,]{3}"),
    ),
    rule(r" ?\.(?: \.){2,}+", "...", re.compile(r"\. \. \.")),
    rule(r"[.!?]{2,}+", _marks, re.compile("[.!?]{2}")),
    rule(r"(?<!\w)I <3 (?=\w)", "I love ", re.compile("<3")),
    rule(r"(?<!\w)<3(?!\w)", "love", re.compile("<3")),
    rule(r"\b([cCfF])#(?!\w)", lambda match: f"{match[1].upper()} sharp", re.compile("#")),
    rule(
        r"\b[cC]\+\+(?!\w)", lambda match: f"{match[0][0].upper()} plus plus", re.compile(r"\+\+")
    ),
    rule(r"\b[gG]\+\+(?!\w)", "G plus plus", re.compile(r"\+\+")),
    # Two sentences without a space between.
    rule(
        r"(?<=[a-z][a-z])(?P<it>[.!?])(?=[A-Z](?:[a-z]{1,24}+\b(?!\.\w|/)| ))",
        lambda match: match["it"] + " ",
        re.compile("[.!?][A-Z]"),
    ),
    rule(
        r"\+/-|-->|->|=>|<-(?!\d)|<=|>=|!=|==|&&|\|\||<>",
        _arrow,
        re.compile(r"->|=>|<-|[<>!=]=|&&|\|\||<>|\+/-"),
    ),
    rule(r"(?<=[\d)]) ?\*\*? ?(?=[\d(])", " times ", re.compile(r"\*")),
    *differences.SPACED,
    rule(r"(?:(?<=\d\))|(?<=[\W_][a-z]\))) ?/ ?(?=[\d(])", " over ", re.compile(r"\) ?/")),
    rule(r"(?<![\w.])(?:\d{1,9}|[a-vx-z])(?P<it> ?/ ?)(?=\()", " over ", re.compile(r"/ ?\(")),
    rule(r"(?<=\d)~(?=\d)", " to ", re.compile(r"\d~")),
    rule(r"§ ?§", "sections", re.compile("§ ?§")),
    rule(r"(?<![\w~])(?P<it>~)(?=[^\W\d_][^~\n]{0,60}+~(?!\w))", "", re.compile("~")),
    # Drawn out or playful, and no number about: la la la~
    rule(r"(?<=[^\W\d_])~(?![\w/])", "", re.compile("~")),
    # A way through menus: Settings > Privacy.
    rule(r"(?<=[A-Za-z]) > (?=[A-Z][a-z])", ", ", re.compile(" > ")),
    rule(r"(?<![\w&])#(?= \w)", "number", re.compile("#")),
    rule(
        r"(?<=\b[A-Z])/(?=[A-Z]\b)|(?<=\b[A-Z]{2})/(?=[A-Z]{2,4}\b)|(?<=\b[A-Z]{3})/(?=[A-Z]{2,4}\b)",
        " ",
        re.compile("[A-Z]/[A-Z]"),
    ),
    rule(r"(?P<it>~ ?)(?=[$€£¥]?\.?\d)", "about ", re.compile("~")),
)
"""Before the numbers are read."""

_AMID = re.compile(r"[^\x00-\x7f]|[&@+=%\\<>~^#$*_|/]")

UNDERSCORES: tuple[Rule, ...] = (rule(r"(?<=[^\W_])_(?=[^\W_])", " underscore ", re.compile("_")),)
"""Before the acronyms, of which some have one."""

LATE: tuple[Rule, ...] = (
    rule(rf"(?<![^\W\d_])[{''.join(_GREEK)}](?![^\W\d_])", _greek, re.compile("[Α-ω]")),
    rule(rf"[{re.escape(''.join(_NAMES))}]", _sign, _AMID),
    rule(r"(?<=[a-z]{2})\.(?=[a-z]{2})", " dot ", re.compile(r"[a-z]\.[a-z]")),
    rule(
        rf"(?<=[a-z])/({any_of(TIMES)})(?!\w)",
        lambda match: f" per {TIMES[match[1]]}",
        re.compile("/"),
    ),
    rule(r"(?<=[^\W_]) ?/ ?(?=[^\W_])", " slash ", re.compile("/")),
    rule(r"(?<=\d)(?= ?°)", " ", re.compile("°")),
    rule(r"\s*[|¦]\s*", ", ", re.compile(r"[|¦]")),
    rule(r"[_*`•·†‡◦▪●■□○★☆/]", " ", re.compile(r"[_*`•·†‡◦▪●■□○★☆/]")),
    # A dash between words is a pause.
    rule(
        r"(?<![\w-])[A-Z](?:-[A-Z]){2,30}+(?!\w)",
        lambda match: match[0].replace("-", " "),  # S-M-I-T-H
        re.compile("[A-Z]-[A-Z]-"),
    ),
    rule(
        r"(?<![\w–-])(?<![A-Z] )([A-Z])[–-]([A-Z])(?![\w–-])",
        lambda match: f"{match[1]} to {match[2]}",
        re.compile("[A-Z][–-][A-Z]"),
    ),
    rule(r"(?<=\w)[–](?=\w)", "-", re.compile("–")),
    rule(
        r"(?<=[^\s.,;:!?]) *(?:[–—―]|--+) *(?=[^\s.,;:!?])|(?<=[\w)\"']) - (?=\S)",
        ", ",
        re.compile("[–—―]|--| - "),
    ),
    rule(r"[–—―]|--+", " ", re.compile("[–—―]|--")),
)
"""Behind the numbers: what is left of signs."""

SPACES: tuple[Rule, ...] = (
    rule(r"[,;](?<=[^\W\d_].)(?=[^\W\d_])", lambda match: match[0] + " "),
    rule(r"\s{2,}+|[\t\r\n\f\v]", _space, re.compile(r"[ \t\r\n\f\v](?:\s|(?<! ))")),
    rule(r"(?<=\w)\.(?=[?!])", ""),
    rule(r" (?=[,.;:!?](?:\s|\Z|[\"')]))", ""),
)
