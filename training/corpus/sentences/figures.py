"""Figures for the grammars: numbers, dates, times and amounts as people write them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from gateway.text.spoken.dates import MONTHS

_SHORT_MONTHS = ("Jan.", "Feb.", "Mar.", "Apr.", "Aug.", "Sept.", "Oct.", "Nov.", "Dec.")
_HOURS = (
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


def number(draw: Random, low: str = "2", high: str = "99") -> str:
    """A whole number in [low, high], with commas from 1,000 on; small ones come more often."""
    lowest, highest = int(low), int(high)
    if highest > 1000 and draw.random() < 0.5:
        highest = max(lowest, 10 ** draw.randint(len(low), len(high) - 1))
    return f"{draw.randint(lowest, highest):,}"


def plain_number(draw: Random, low: str = "1", high: str = "9999") -> str:
    """A whole number in [low, high] without commas: rooms, pages, flights."""
    return str(draw.randint(int(low), int(high)))


def decimal(draw: Random) -> str:
    """1.5, 12.75, 0.3."""
    return f"{draw.randint(0, 99) if draw.random() < 0.5 else draw.randint(0, 9)}." + (
        f"{draw.randint(1, 9)}" if draw.random() < 0.6 else f"{draw.randint(1, 99):02}"
    )


def ordinal(draw: Random, low: str = "1", high: str = "31") -> str:
    """1st to 31st."""
    value = draw.randint(int(low), int(high))
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10)
    return f"{value}{ending or 'th'}"


def year(draw: Random) -> str:
    """Mostly of our time."""
    return str(draw.randint(1950, 2035) if draw.random() < 0.7 else draw.randint(1100, 2060))


def date(draw: Random) -> str:
    """May 12, 12 May, May 12th, Oct. 3, May 12, 2024."""
    month, day = draw.choice(MONTHS), draw.randint(1, 28)
    kind = draw.random()
    if kind < 0.5:
        return f"{month} {day}"
    if kind < 0.65:
        return f"{month} {ordinal(draw)}"
    if kind < 0.75:
        return f"{draw.choice(_SHORT_MONTHS)} {day}"
    if kind < 0.85:
        return f"the {ordinal(draw)} of {month}"
    return f"{month} {day}, {year(draw)}"


def clock(draw: Random) -> str:
    """10:30, 7 p.m., 7:05 am, 12:00, half past four."""
    hour, minute = draw.randint(1, 12), draw.choice((0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55))
    if draw.random() < 0.15:
        minute = draw.randint(1, 59)
    kind = draw.random()
    half = draw.choice(("a.m.", "p.m.", "am", "pm", "AM", "PM"))
    if kind < 0.4:
        return f"{hour}:{minute:02}"
    if kind < 0.6:
        return f"{hour} {half}"
    if kind < 0.8:
        return f"{hour}:{minute:02} {half}"
    if kind < 0.9:
        part = draw.choice(("half past", "quarter past", "quarter to", "ten past", "five to"))
        return f"{part} {_HOURS[hour - 1]}"
    return f"{draw.randint(13, 23)}:{minute:02}"


def money(draw: Random) -> str:
    """$42.50, $7, $1,200, 5 dollars, €30, £4.99, $2.5 million."""
    sign = draw.choice(("$", "$", "$", "$", "€", "£"))
    kind = draw.random()
    if kind < 0.35:
        small = draw.choice((50, 99, 95, 25, 75, draw.randint(1, 98)))
        return f"{sign}{draw.randint(1, 99)}.{small:02}"
    if kind < 0.65:
        return f"{sign}{draw.randint(1, 100)}"
    if kind < 0.8:
        return f"{sign}{draw.randint(1, 90) * 50:,}"
    if kind < 0.92:
        return f"{draw.randint(2, 90)} {draw.choice(('dollars', 'euros', 'pounds', 'cents'))}"
    scale = draw.choice(("million", "billion"))
    return f"{sign}{draw.randint(1, 30)}{draw.choice(('', '.5'))} {scale}"


def percent(draw: Random) -> str:
    """40%, 2.5%, 15 percent."""
    return draw.choice(
        (f"{draw.randint(1, 100)}%", f"{draw.randint(1, 100)} percent", f"{decimal(draw)}%")
    )


def phone(draw: Random) -> str:
    """555-0134, 212-555-0187."""
    local = f"555-{draw.randint(0, 9999):04}"
    return local if draw.random() < 0.5 else f"{draw.randint(201, 989)}-{local}"


FIGURES: dict[str, Callable[..., str]] = {
    "number": number,
    "plain": plain_number,
    "decimal": decimal,
    "ordinal": ordinal,
    "year": year,
    "date": date,
    "time": clock,
    "money": money,
    "percent": percent,
    "phone": phone,
}
"""By the names the grammars use."""
