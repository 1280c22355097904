"""Whole numbers and years in words, beside another way to spell them."""

from gateway.text.spoken import spoken_words
from gateway.text.spoken.numbers import amount, cardinal, ordinal, pairs, whole

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_STEMS = ("thir", "four", "fif", "six", "seven", "eigh", "nine")
_ONES = [*_UNITS, "ten", "eleven", "twelve", *(f"{stem}teen" for stem in _STEMS)]
_TENS = [
    "",
    "",
    *(f"{stem}ty" for stem in ("twen", "thir", "for", "fif", "six", "seven", "eigh", "nine")),
]


def _say(number: int) -> str:
    """Spell a number by another way than the rules'."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        rest = f" {_ONES[number % 10]}" if number % 10 else ""
        return _TENS[number // 10] + rest
    for size, name in (
        (10**9, "billion"),
        (10**6, "million"),
        (1000, "thousand"),
        (100, "hundred"),
    ):
        if number >= size:
            rest = f" {_say(number % size)}" if number % size else ""
            return f"{_say(number // size)} {name}{rest}"
    raise AssertionError(number)


def test_every_integer() -> None:
    numbers = [*range(0, 1000), *range(1000, 10**9, 2_345_671), *(10**power for power in range(10))]
    for number in numbers:
        assert spoken_words(f"{number:,}") == _say(number), number
    for number in range(10_000, 10**9, 9_876_543):
        assert spoken_words(str(number)) == _say(number), number


def test_years_in_two_halves() -> None:
    for year in range(1100, 2100):
        century, rest = divmod(year, 100)
        if 2000 <= year < 2010:
            spoken = _say(year)
        elif rest == 0:
            spoken = f"{_say(century)} hundred"
        else:
            spoken = f"{_say(century)} {'oh ' if rest < 10 else ''}{_say(rest)}"
        assert spoken_words(f"In {year} it rained.") == f"In {spoken} it rained."


def test_large_numbers_and_their_bound() -> None:
    assert cardinal(10**18 + 1) == "one quintillion one"
    assert whole("1" + ",000" * 7) == "one sextillion"
    assert whole("1" + ",000" * 8) == "one" + " zero" * 24
    assert whole("1234567890") == "one two three four five six seven eight nine zero"
    assert whole("1000000000") == "one billion"
    assert ordinal(10**6) == "one millionth"


def test_rooms_flights_and_amounts() -> None:
    assert [pairs(number) for number in ("101", "100", "237", "1200", "2005", "1010", "9001")] == [
        "one oh one",
        "one hundred",
        "two thirty seven",
        "twelve hundred",
        "two thousand five",
        "ten ten",
        "nine thousand one",
    ]
    assert [pairs(number) for number in ("7", "00", "042", "12345")] == [
        "seven",
        "zero zero",
        "zero four two",
        "one two three four five",
    ]
    assert amount("1 1/2") == "one and a half"
    assert amount("1/0") == "one over zero"
