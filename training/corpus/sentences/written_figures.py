"""What is not written as it is spoken, drawn from the tables of the gateway's spoken form.

Every entry of a table comes once before any comes again, so that each of its words is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random

from gateway.text.spoken import abbreviation_words, acronym_words, currencies, unit_names
from training.corpus.sentences import written_words as words
from training.corpus.sentences.figures import FIGURES, decimal, number, year


class Deck:
    """Values in random order, each once before any comes again."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = sorted(set(values))
        self._left: list[str] = []

    def deal(self, draw: Random) -> str:
        """The next value."""
        if not self._left:
            self._left = draw.sample(self._values, len(self._values))
        return self._left.pop()


def _unit_deck() -> Deck:
    """One symbol of each name; ambiguous letters are left out, as they need what is about them."""
    by_name = {
        many: symbol
        for symbol, (_, many) in unit_names.NAMES.items()
        if symbol not in unit_names.AMBIGUOUS
    }
    return Deck(by_name.values())


def _currency_deck() -> Deck:
    signs = {value.many: sign for sign, value in currencies.SIGNS.items()}
    return Deck([*signs.values(), *currencies.CODES])


def written_figures() -> Mapping[str, Callable[..., str]]:
    """`figures.FIGURES`, and those of this file, all decks whole; by the names of templates."""
    units, money = _unit_deck(), _currency_deck()
    pers, scales = Deck(unit_names.PER), Deck(currencies.SCALES)
    acronyms = Deck(acronym_words.SPELLED | acronym_words.SAID)
    titles = Deck(abbreviation_words.BEFORE_NAME)
    streets = Deck(abbreviation_words.BEHIND_NAME | {"Blvd", "Hwy", "Pkwy", "Bldg", "St"})
    plain = set(abbreviation_words.ANY_CASE) - {"ed", "al", "max"}
    short, numbered = Deck(plain), Deck(abbreviation_words.NUMBERED)

    def amount(draw: Random) -> str:
        kind = draw.random()
        if kind < 0.1:
            return "1"
        return decimal(draw) if kind < 0.5 else number(draw, "2", "9000" if kind > 0.8 else "99")

    def measure(draw: Random) -> str:
        return f"{amount(draw)} {units.deal(draw)}"

    def rate(draw: Random) -> str:
        what = draw.choice(("km", "mg", "l", "kWh", "m", "g", "MB", "kg"))
        per = pers.deal(draw)
        return f"{amount(draw)} {what}/{per}"

    def price(draw: Random) -> str:
        sign, value = money.deal(draw), draw.randint(1, 400)
        if sign in currencies.CODES:
            return (
                f"{value} {sign}"
                if draw.random() < 0.7
                else f"{sign} {value}.{draw.randint(10, 99)}"
            )
        if sign in ("kr", "zł", "Kč"):
            return f"{value} {sign}"
        return (
            f"{sign}{value}.{draw.randint(1, 99):02}" if draw.random() < 0.5 else f"{sign}{value}"
        )

    def scaled(draw: Random) -> str:
        scale = scales.deal(draw)
        gap = " " if len(scale) > 3 else ""
        return f"{draw.choice('$€£')}{draw.choice(('2.5', '10', '1', '750', '3.2'))}{gap}{scale}"

    def day(draw: Random) -> str:
        y, m, d = draw.randint(1990, 2035), draw.randint(1, 12), draw.randint(1, 28)
        return draw.choice(
            (
                f"{y}-{m:02}-{d:02}",
                f"{m}/{d}/{y}",
                f"{m}/{d}",
                f"{d} {words.MONTHS[m - 1]} {y}",
                f"{words.MONTHS[m - 1]} {d}-{d + 3}",
                f"{words.MONTHS[m - 1]} {d}, '{y % 100:02}",
                f"{words.MONTHS[m - 1]} {y}",
            )
        )

    def years(draw: Random) -> str:
        y = draw.randint(2, 60)
        return draw.choice(
            (
                f"{draw.randint(100, 900)} {draw.choice(('BC', 'AD', 'BCE', 'CE'))}",
                f"the {draw.randint(170, 199)}0s",
                f"the '{draw.randint(2, 9)}0s",
                f"the mid-{draw.randint(180, 199)}0s",
                f"{year(draw)}",
                f"{1900 + y}-{y + 5:02}",
                f"the {draw.randint(11, 20)}th century",
            )
        )

    def clock(draw: Random) -> str:
        hour, minute = draw.randint(1, 11), draw.choice((0, 5, 15, 30, 45, draw.randint(1, 59)))
        return draw.choice(
            (
                f"{hour + 12}:{minute:02}",
                f"{hour}:{minute:02} {draw.choice(('am', 'PM'))} {draw.choice(words.ZONES)}",
                f"{hour}-{hour + 1} pm",
                f"{hour}:{minute:02}-{hour + 1}:{minute:02}",
                f"{hour}h {minute}min",
                f"0{draw.randint(1, 9)}:0{draw.randint(0, 9)}",
                f"{hour} o'clock",
                f"{hour}:{minute:02}:{draw.randint(10, 59)}",
            )
        )

    def call(draw: Random) -> str:
        last, middle = f"{draw.randint(0, 9999):04}", draw.randint(201, 989)
        return draw.choice(
            (
                f"+1 {middle} 555 {last}",
                f"1-800-555-{last}",
                f"{middle}-555-{last} ext. {draw.randint(2, 99)}",
                f"+44 20 7946 {last}",
                f"{middle}.555.{last}",
                "911",
                f"555-{last}",
            )
        )

    def address(draw: Random) -> str:
        name, host, path = (
            draw.choice(words.NAMES),
            draw.choice(words.HOSTS),
            draw.choice(words.PATHS),
        )
        return draw.choice(
            (
                f"{name}@{host}",
                f"www.{host}",
                f"https://{host}/{path}",
                f"{host}/{path}",
                f"@{name}",
                f"#{draw.choice(('news', 'python', 'FridayMood', 'music', 'travel'))}",
                f"192.168.{draw.randint(0, 20)}.{draw.randint(1, 254)}",
                f"localhost:{draw.choice((3000, 8080, 5432))}",
                f"/home/{name}/{draw.choice(words.FILES)}",
            )
        )

    def file(draw: Random) -> str:
        return f"{draw.choice(words.FILES)}.{draw.choice(words.ENDINGS)}"

    def roman(draw: Random) -> str:
        before = draw.choice((*words.RULERS, *words.NUMBERED))
        return f"{before} {draw.choice(words.ROMAN)}"

    def fraction(draw: Random) -> str:
        below = draw.choice((2, 3, 4, 5, 6, 8, 10, 16, 100))
        above = draw.randint(1, below - 1)
        whole = f"{draw.randint(1, 12)} " if draw.random() < 0.4 else ""
        return draw.choice(
            (f"{whole}{above}/{below}", draw.choice("½¼¾⅓⅔⅛"), f"{whole}{above}/{below}")
        )

    def ratio(draw: Random) -> str:
        a, b = draw.randint(1, 30), draw.randint(1, 30)
        return draw.choice(
            (f"{a}-{b}", f"{a}:{b}", f"{a}x{b}", f"{a} x {b} cm", f"{a}/10", f"{a}-0")
        )

    def digits(draw: Random) -> str:
        return draw.choice(
            (
                f"{draw.choice('BCDFGHKMPQRTVWXZ')}{draw.choice('AEFX')}-{draw.randint(100, 9999)}",
                f"{draw.randint(1000, 9999)} {draw.randint(1000, 9999)} {draw.randint(1000, 9999)}",
                f"{draw.randint(0, 999):03}-{draw.randint(10, 99)}-{draw.randint(1000, 9999)}",
                f"{draw.randint(0, 99999):05}",
                f"0.{draw.randint(1, 999):03}",
                f"-{draw.randint(1, 90)}",
                f"{draw.randint(1, 99)}%",
            )
        )

    def large(draw: Random) -> str:
        value = draw.randint(1, 10 ** draw.randint(3, 10))
        return draw.choice(
            (f"{value:,}", f"{value:,}", f"{draw.randint(1, 900)}k", f"{value % 10**6}")
        )

    def spelled(draw: Random) -> str:
        name = names.deal(draw)
        return draw.choice(("-".join(name), ", ".join(name), " ".join(name), ". ".join(name) + "."))

    signs, names, letters, named = (
        Deck(words.SIGNS.values()),
        Deck(words.SPELLED_NAMES),
        Deck(words.GREEK),
        Deck(words.NAMED),
    )
    return {
        **FIGURES,
        "measure": measure,
        "rate": rate,
        "price": price,
        "scaled": scaled,
        "written_date": day,
        "years": years,
        "clock": clock,
        "call": call,
        "address": address,
        "file": file,
        "sign": signs.deal,
        "roman": roman,
        "fraction": fraction,
        "ratio": ratio,
        "digits": digits,
        "large": large,
        "spelled": spelled,
        "greek": letters.deal,
        "identifier": named.deal,
        "capitals": acronyms.deal,
        "title": lambda draw: titles.deal(draw) + ".",
        "street": lambda draw: streets.deal(draw) + ".",
        "abbreviation": lambda draw: short.deal(draw) + ".",
        "numbered": lambda draw: f"{numbered.deal(draw)}. {draw.randint(1, 60)}",
    }
