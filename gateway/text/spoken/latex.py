"""LaTeX amid a text, as language models write it: $x^2$, $$E = mc^2$$, \\frac{1}{2}, \\pi."""

import re

from gateway.text.spoken.rule import Rule, any_of, rule, word_set

_WORDS: dict[str, str] = {
    "times": "times",
    "cdot": "times",
    "div": "divided by",
    "pm": "plus or minus",
    "leq": "is less than or equal to",
    "le": "is less than or equal to",
    "geq": "is greater than or equal to",
    "ge": "is greater than or equal to",
    "neq": "is not equal to",
    "ne": "is not equal to",
    "approx": "is approximately",
    "equiv": "is identical to",
    "infty": "infinity",
    "sum": "sum of",
    "prod": "product of",
    "int": "integral of",
    "partial": "partial",
    "nabla": "nabla",
    "to": "to",
    "rightarrow": "to",
    "implies": "implies",
    "in": "in",
    "cup": "union",
    "cap": "intersection",
    "sin": "sine",
    "cos": "cosine",
    "tan": "tangent",
    "log": "log",
    "ln": "natural log",
    "lim": "limit",
    "max": "max",
    "min": "min",
    "ldots": "...",
    "cdots": "...",
    "dots": "...",
}
_GREEK = word_set(
    """
    alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi
    psi omega Gamma Delta Theta Lambda Pi Sigma Phi Psi Omega
    """
)
_WORDS |= {name: name.lower() for name in _GREEK}
_BOUNDED = {"sum": "sum", "prod": "product", "int": "integral", "lim": "limit"}
_BOUNDED |= {"max": "max", "min": "min"}
_ACCENTS = {"hat": "hat", "bar": "bar", "overline": "bar", "tilde": "tilde", "dot": "dot"}
_COMMAND = re.compile(r"\\[A-Za-z]")
_SUBSCRIPT = re.compile(r"_\{")
_BACKSLASH = re.compile(r"\\")
_SIGNS = re.compile(r"[\\^_=]")
_DOLLARS = re.compile(r"\$")
# No command begins behind a word, a drive or another part of a path: C:\times.
_AT = r"(?<![A-Za-z]{2})(?<![:\\/.~])"
_ARGUMENT = r"\{([^{}]{1,80})\}"
_BOUND = r"(?:\{[^{}]{1,24}\}|\\infty|\w)"
_INDEX = re.compile(
    rf"((?<![A-Za-z])[A-Za-z]|\\(?!{any_of(_BOUNDED)}_)[A-Za-z]{{2,8}})_([A-Za-z0-9])(?!\w)"
)
_INDICES = frozenset("ijklmn")


def _formula(match: re.Match[str]) -> str | None:
    """What stands between two dollars, where it is no money."""
    inner = match[1]
    if _SIGNS.search(inner) or (len(inner) == 1 and inner.isalpha()):
        return _indexed(inner)
    return None


def _indexed(formula: str) -> str:
    """a_n; elsewhere that is as often a name of a program's."""
    return _INDEX.sub(r"\1 sub \2", formula.strip())


def _minus(written: str) -> str:
    return re.sub(r" ?-(?=\w)", " minus ", written).strip()


def _bounded(match: re.Match[str]) -> str:
    """The sum from i = 1 to n of, the limit as x approaches 0 of."""
    sign, low, high = match["sign"], _minus(match["low"].strip("{} ")), match["high"]
    if sign == "lim":
        return f"limit as {low.replace(chr(92) + 'to', 'approaches')} of "
    if not high:
        return f"{_BOUNDED[sign]} over {low} of "
    return f"{_BOUNDED[sign]} from {low} to {_minus(high.strip('{} '))} of "


def _subscript(match: re.Match[str]) -> str:
    """x_{n+1}; the letters of x_{ij} one by one."""
    index = _minus(match[1])
    if len(index) == 2 and _INDICES.issuperset(index) and index != "in":
        index = " ".join(index)
    return f" sub {index}"


def _fraction(match: re.Match[str]) -> str:
    above, below = match[1].strip(), match[2].strip()
    if above.isdecimal() and below.isdecimal():
        return f"{above}/{below}"
    return f"{above} over {below}"


def _raised(match: re.Match[str]) -> str:
    exponent = match[1].strip()
    plain = exponent.lstrip("-").isdecimal() or (len(exponent) == 1 and exponent.isalpha())
    return f"^{exponent}" if plain else f" to the power of {_minus(exponent)}"


_FRACTIONS = rule(rf"{_AT}\\[dt]?frac{_ARGUMENT}{_ARGUMENT}", _fraction, _COMMAND)

RULES: tuple[Rule, ...] = (
    rule(r"\$\$([^$]{1,200})\$\$", lambda match: _indexed(match[1]), _DOLLARS),
    rule(r"(?<![\w$])\$(?![\s$])([^$]{1,120})(?<!\s)\$(?![\w$])", _formula, _DOLLARS),
    # Of a share: $AAPL.
    rule(r"(?<![\w$])\$(?=[A-Z]{2,5}(?!\w))", "", _DOLLARS),
    rule(
        rf"{_AT}\\(?:text|mathrm|mathbf|mathbb|operatorname){_ARGUMENT}",
        lambda match: match[1],
        _COMMAND,
    ),
    rule(rf"{_AT}\\(?:left|right|displaystyle)(?![A-Za-z])", "", _COMMAND),
    rule(
        rf"{_AT}\\(?P<sign>{any_of(_BOUNDED)})_(?P<low>{_BOUND})(?:\^(?P<high>{_BOUND}))? ?",
        _bounded,
        _COMMAND,
    ),
    rule(
        rf"{_AT}\\vec(?:{_ARGUMENT}| (\w)(?!\w))",
        lambda match: f"vector {match[1] or match[2]}",
        _COMMAND,
    ),
    rule(
        rf"{_AT}\\({any_of(_ACCENTS)})(?:{_ARGUMENT}| (\w)(?!\w))",
        lambda match: f"{match[2] or match[3]} {_ACCENTS[match[1]]}",
        _COMMAND,
    ),
    rule(r"\^(?:\\circ(?![A-Za-z])|\{\\circ\})", "°", _COMMAND),
    rule(r"(?<=[\d}])\\([%#&])", lambda match: match[1], _BACKSLASH),
    rule(r"(?<=\w)_\{([^{}]{1,24})\}", _subscript, _SUBSCRIPT),
    rule(r"\^\{([^{}]{1,24})\}", _raised, re.compile(r"\^\{")),
    _FRACTIONS,
    rule(rf"{_AT}\\sqrt{_ARGUMENT}", lambda match: f"square root of {match[1].strip()}", _COMMAND),
    _FRACTIONS,
    rule(rf"{_AT}\\({any_of(_WORDS)})(?![A-Za-z])", lambda match: _WORDS[match[1]], _COMMAND),
    # Last, as it is around a whole answer.
    rule(rf"{_AT}\\boxed{_ARGUMENT}", lambda match: match[1], _COMMAND),
    rule(r"(?<=[\s\w)}])\\[,;!]", " ", _BACKSLASH),
)
"""Before all others: what is left is read as if it had been written plainly."""
