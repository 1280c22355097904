"""Sums of money: $3.50, -$5, €20, USD 5, 5 EUR, $1.5bn, $5-10, a $5 bill, 50¢."""

# ruff: noqa: RUF001 (the signs are what this file is about)

import re

from gateway.text.spoken import numbers, rates
from gateway.text.spoken.currencies import CODES, SCALES, SIGNS, Currency
from gateway.text.spoken.numbers import AT_NUMBER, NUMBER
from gateway.text.spoken.rule import DIGIT, Rule, any_of, is_adjective, rule, word_set

_CURRENCIES = SIGNS | CODES
_NEEDS = re.compile(r"[$€£¥₹₩₽₺₪₴₦₱₫₿฿¢]|\bRs|\bkr\b|zł|Kč|[A-Z]{3}|\dp\b")
_MARKS = any_of(_CURRENCIES)
_SCALE = rf"(?P<scale> ?{any_of(SCALES)}(?!\w))?"
_AMOUNT = rf"(?P<amount>{NUMBER}){_SCALE}"


def _sum(currency: Currency, written: str, scale: str, adjective: bool = False) -> str:
    """The words of a sum; behind an article and before a noun the name is in the singular."""
    if scale:
        name = currency.one if adjective else currency.many
        return f"{numbers.number(written)} {SCALES[scale.strip()]} {name}"
    whole, _, cents = written.partition(".")
    if currency.small_one and len(cents) == 2 and (cents != "00" or not whole):
        small = currency.small_one if cents == "01" else currency.small_many
        said = f"{numbers.cardinal(cents)} {small}"
        if whole.strip("0,") == "":
            return said
        name = currency.one if adjective or whole == "1" else currency.many
        return f"{numbers.number(whole)} {name} and {said}"
    if cents and not cents.strip("0"):
        written = whole
    name = currency.one if adjective or written == "1" else currency.many
    return f"{numbers.number(written)} {name}"


def _money(match: re.Match[str]) -> str | None:
    currency = _CURRENCIES[match["mark"]]
    adjective = is_adjective(match)
    words = _sum(currency, match["amount"], match["scale"] or "", adjective)
    if match["minus"]:
        words = f"minus {words}"
    if match["last"]:
        # $5-10 and $5-$10: the name only once.
        first = numbers.number(match["amount"])
        if match["scale"] and match["scale"] != match["last_scale"]:
            first = f"{first} {SCALES[match['scale'].strip()]}"
        last = _sum(currency, match["last"], match["last_scale"] or "", adjective)
        words = f"{first} to {last}"
    return words + rates.of_price(match)


def _behind(match: re.Match[str]) -> str:
    """5 EUR, 5€, 99p."""
    currency = _CURRENCIES[match["mark"]]
    words = _sum(currency, match["amount"], match["scale"] or "", is_adjective(match))
    return words + rates.of_price(match)


_RESOLUTIONS = word_set("144 240 360 480 576 720 1080 1440 2160 4320")


def _small(match: re.Match[str]) -> str | None:
    if match["small"] == "p" and match["amount"] in _RESOLUTIONS:
        return None
    one, many = ("penny", "pence") if match["small"] == "p" else ("cent", "cents")
    name = one if match["amount"] == "1" or is_adjective(match) else many
    return f"{numbers.number(match['amount'])} {name}"


_LAST = rf"(?: ?[–-] ?(?:(?P=mark))?(?P<last>{NUMBER})(?P<last_scale> ?{any_of(SCALES)}(?!\w))?)?"
_BEHIND = any_of([*(sign for sign in SIGNS if not sign.startswith("Rs")), *CODES])

RULES: tuple[Rule, ...] = (
    rule(
        # The second of a pair is a rate: EUR/USD 1.08.
        rf"(?<![^\W\d])(?<!(?:EUR|USD|GBP|JPY|CHF|AUD|CAD|NZD|CNY)[ /])"
        rf"(?P<mark>{_MARKS})(?P<minus>-)? ?{_AMOUNT}{_LAST}"
        rf"(?!\d){rates.PRICE}",
        _money,
        _NEEDS,
    ),
    rule(
        rf"{AT_NUMBER}{_AMOUNT} ?(?P<mark>{_BEHIND})(?!\w)"
        rf"{rates.PRICE}",
        _behind,
        _NEEDS,
    ),
    rule(rf"{AT_NUMBER}(?P<amount>{NUMBER}) ?(?P<small>¢|(?<=\d)p(?!\w))", _small, DIGIT),
)
