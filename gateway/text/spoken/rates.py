"""What stands behind a stroke: km/h, $99/user/month, €50/m², 100k/yr."""

import re

from gateway.text.spoken.rule import any_of, word_set
from gateway.text.spoken.unit_names import NAMES, PER, POWERS

TIMES: dict[str, str] = {"yr": "year", "hr": "hour", "mo": "month", "wk": "week", "sec": "second"}
TIMES |= {"min": "minute"} | {word: word for word in word_set("day week month year night person")}
"""What anything may be counted by, a word too: posts/week."""

_OF_A_PRICE: dict[str, str] = {symbol: one for symbol, (one, _) in NAMES.items()} | PER | TIMES
_OF_A_PRICE |= {"pp": "person", "ea": "each", "sq ft": "square foot", "sqft": "square foot"}
_OF_A_PRICE |= {"sf": "square foot", "mi": "mile", "t": "ton", "oz": "ounce"}
_NO_MEASURE = any_of(["and", "free", "gratis", "none", "off", "nothing", "plus", "zero"])

_MEASURE = rf"{any_of(_OF_A_PRICE)}(?:\^?[23]|[²³])?"
_WORD = rf"(?!{_NO_MEASURE}\b)[a-z]{{3,16}}"
PRICE = (
    rf"(?P<rates>(?: ?/ ?(?:{_MEASURE}|{_WORD})(?!\w)){{1,3}})?"
    r"(?P<counted> ?/ ?(?=\d))?"
)
"""Behind a sum of money: measures we know, other words, or a number: $5/1M tokens."""


def of_price(match: re.Match[str]) -> str:
    """The words of what `PRICE` has found, with a space before them; empty where it has nothing."""
    words = ""
    for written in (match["rates"] or "").split("/")[1:]:
        measure = written.strip()
        symbol = measure.rstrip("23²³").rstrip("^")
        name = _OF_A_PRICE.get(symbol, symbol)
        power = POWERS[measure.removeprefix(symbol)] + " " if measure != symbol else ""
        words += " each" if name == "each" else f" per {power}{name}"
    return words + (" per" if match["counted"] else "")
