"""Money and units: the name comes behind the number, in the singular for exactly one."""

from __future__ import annotations

from training.text.rules import GROUPS, PLURAL, Rule, Rules, any_of

_NUMBER = rf"\d[\d{GROUPS}]*"
_SCALES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion"}
_SCALE_WORDS = any_of(["hundred", "thousand", "million", "billion", "trillion"])

_CURRENCIES = (
    ("$", r"\$", f"dollar{PLURAL}", f"cent{PLURAL}"),
    ("€", "€", f"euro{PLURAL}", f"cent{PLURAL}"),
    ("£", "£", f"pound{PLURAL}", "pence"),
)

_UNITS = {
    "km/h|kph|kmh": f"kilometer{PLURAL} per hour",
    "mph": f"mile{PLURAL} per hour",
    "km": f"kilometer{PLURAL}",
    "kg": f"kilogram{PLURAL}",
    "cm": f"centimeter{PLURAL}",
    "mm": f"millimeter{PLURAL}",
    "mg": f"milligram{PLURAL}",
    "ml": f"milliliter{PLURAL}",
    "gb": f"gigabyte{PLURAL}",
    "mb": f"megabyte{PLURAL}",
    "kb": f"kilobyte{PLURAL}",
    "tb": f"terabyte{PLURAL}",
    "ghz": "gigahertz",
    "mhz": "megahertz",
    "khz": "kilohertz",
    "hz": "hertz",
    "kw": f"kilowatt{PLURAL}",
    r"lbs?\.?": f"pound{PLURAL}",
    r"oz\.?": f"ounce{PLURAL}",
    r"ft\.?": f"f{PLURAL}t",
    r"yds?\.?": f"yard{PLURAL}",
    r"hrs?\.?": f"hour{PLURAL}",
    r"mins?\.?": f"minute{PLURAL}",
    r"secs?\.?": f"second{PLURAL}",
    "m": f"meter{PLURAL}",
    "g": f"gram{PLURAL}",
    "ms": f"millisecond{PLURAL}",
    "° ?c": f"degree{PLURAL} celsius",
    "° ?f": f"degree{PLURAL} fahrenheit",
    "°": f"degree{PLURAL}",
}


def _currency(sign: str, name: str, small: str) -> list[Rule]:
    """One currency; `sign` is a pattern that matches its sign alone."""
    amount = rf"{sign} ?{_NUMBER}"
    scale = rf"(?: ?{_SCALE_WORDS}(?![a-z]))"
    rules = [
        Rule(rf"{amount}(?:\.\d+)?\K ?{short}(?![a-z])", f" {word}")
        for short, word in _SCALES.items()
    ]
    return [
        *rules,
        Rule(rf"{amount}\K\.00(?!\d)(?!{scale})", ""),
        Rule(rf"{amount}\.\d\d(?!\d)(?!{scale})\K", f" {small}"),
        Rule(rf"{amount}\K\.(?=\d\d {small[:-1]})", f" {name} and "),
        Rule(rf"{sign} ?0 {name} and ", ""),
        Rule(rf"(?<={name} and )0(?=\d)", ""),
        Rule(
            rf"{amount}(?:\.\d+)?{scale}?(?![.,{GROUPS}]?\d| {name})\K(?! {small[:-1]})",
            f" {name}",
        ),
        Rule(rf"{sign} ?(?=\d)", ""),
        Rule(rf"(?<=\d) ?{sign}", f" {name}"),
        Rule(sign, f" {name}"),
    ]


def _rules() -> list[Rule]:
    rules: list[Rule] = []
    for _, sign, name, small in _CURRENCIES:
        rules += _currency(sign, name, small)
    rules += [
        Rule(r"¥ ?\d[\d.]*\K", " yen"),
        Rule("¥ ?", ""),
        Rule(r"(?<=\d)¢", f" cent{PLURAL}"),
        Rule(r"(?<=\d) ?%", " percent"),
        Rule("%", " percent"),
    ]
    for unit, name in _UNITS.items():
        # A six-foot pole.
        single = name.replace(f"f{PLURAL}t", "foot").replace(PLURAL, "")
        rules.append(Rule(rf"(?<=\d)-(?:{unit})(?![a-z\d])", f" {single}"))
        rules.append(Rule(rf"(?<=\d) ?(?:{unit})(?![a-z\d])", f" {name}"))
    one = rf"(?<![\d.{GROUPS}])1 [a-z]{{1,10}}"
    return [
        *rules,
        # A five dollar bill.
        Rule(f"{PLURAL}(?= (?:bill|note|coin|gift|ticket|fee|fine|discount|tip|coupon)s?\\b)", ""),
        Rule(rf"{one}\K{PLURAL}(?=t)", "oo"),
        Rule(f"{PLURAL}(?=t(?![a-z]))", "ee"),
        Rule(rf"{one}\K{PLURAL}", ""),
        Rule(PLURAL, "s"),
    ]


RULES: Rules = tuple(_rules())
