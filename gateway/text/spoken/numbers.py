"""Numbers in words: cardinals, ordinals, years, decimals, fractions, digits one by one."""

import re

ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_GROUPS = (
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
)
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
MAX_UNGROUPED = 9
"""More digits than that without commas are read one by one, unless they end in six zeros."""
MAX_DIGITS = 3 * len(_GROUPS)

NUMBER = r"(?:(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?|\.\d++)"
"""A number as it is written in English once `numerals.GROUPING` has been applied."""
AT_NUMBER = r"(?<!\w)(?<!\d[.,:/])(?<![A-Za-z]-)"
"""To stand before it: where a number begins."""
AMOUNT = rf"(?:(?:\d++ )?\d++/[1-9]\d*+(?![\d/])|{NUMBER})"
"""A number or a fraction: 5, 2 1/2, 3/4, 1,000.5."""


def _below_hundred(number: int) -> str:
    if number < 10:
        return ONES[number]
    if number < 20:
        return _TEENS[number - 10]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f" {ONES[ones]}" if ones else "")


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _below_hundred(rest)
    return f"{ONES[hundreds]} hundred" + (f" {_below_hundred(rest)}" if rest else "")


def cardinal(number: int | str) -> str:
    """A whole number of at most `MAX_DIGITS` digits."""
    left = int(number)
    if not left:
        return ONES[0]
    words: list[str] = []
    for group in _GROUPS:
        left, three = divmod(left, 1000)
        if three:
            words.append(f"{_below_thousand(three)} {group}" if group else _below_thousand(three))
        if not left:
            break
    return " ".join(reversed(words))


def ordinal(number: int | str) -> str:
    """1 is first, 22 is twenty second, 1000 is one thousandth."""
    *before, last = cardinal(number).split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    elif last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last += "th"
    return " ".join([*before, last])


def digits(written: str) -> str:
    """Digits one by one; what is no digit is passed over."""
    return " ".join(ONES[int(char)] for char in written if "0" <= char <= "9")


def pairs(written: str) -> str:
    """As numbers of rooms, flights and roads are said: 101 one oh one, 1234 twelve thirty four."""
    size = len(written)
    if size < 3 and (size < 2 or written[0] != "0"):
        return cardinal(written)
    if size in (3, 4) and written[0] != "0":
        head, tail = written[:-2], written[-2:]
        if tail == "00":
            whole = size == 4 and written[1] == "0"
            return cardinal(written) if whole else f"{cardinal(head)} hundred"
        if size == 4 and written[1] == "0" and tail[0] == "0":
            return cardinal(written)
        return f"{cardinal(head)} {two_digits(tail)}"
    return digits(written)


def two_digits(tail: str) -> str:
    """The last two digits of a year: 05 oh five, 10 ten."""
    return f"oh {ONES[int(tail[1])]}" if tail[0] == "0" else cardinal(tail)


def year(written: str) -> str:
    """1984 nineteen eighty four, 1905 nineteen oh five, 1900 nineteen hundred, 2005 as a number."""
    if len(written) != 4 or written[0] == "0" or written[1:3] == "00":
        return cardinal(written)
    century, rest = written[:2], written[2:]
    return (
        f"{cardinal(century)} hundred"
        if rest == "00"
        else f"{cardinal(century)} {two_digits(rest)}"
    )


def whole(written: str) -> str:
    """Digits, with commas or without: leading zeros and very long ones are read one by one."""
    plain = written.replace(",", "")
    one_by_one = len(plain) > 1 and plain[0] == "0"
    if len(plain) > MAX_UNGROUPED and plain == written:
        one_by_one = one_by_one or not plain.endswith("000000")
    if one_by_one or len(plain) > MAX_DIGITS:
        return digits(plain)
    return cardinal(plain)


def number(written: str) -> str:
    """What `NUMBER` matches."""
    before, point, after = written.partition(".")
    words = [whole(before)] if before else []
    if point:
        words += ["point", digits(after)]
    return " ".join(words)


def fraction(above: int, below: int) -> str:
    """3/4 three quarters, 1/2 one half, 5/8 five eighths, 7/32 seven thirty seconds."""
    if below == 2:
        part = "half" if above == 1 else "halves"
    else:
        part = "quarter" if below == 4 else ordinal(below)
        part += "" if above == 1 else "s"
    return f"{cardinal(above)} {part}"


_MIXED = re.compile(r"(?:(\d+) )?(\d+)/(\d+)")


def amount(written: str) -> str:
    """What `AMOUNT` matches."""
    mixed = _MIXED.fullmatch(written)
    if mixed is None:
        return number(written)
    if max(map(len, (mixed[1] or "", mixed[2], mixed[3]))) > MAX_UNGROUPED or mixed[3] in "01":
        return " over ".join(whole(part) for part in mixed.groups() if part)
    above, below = int(mixed[2]), int(mixed[3])
    words = fraction(above, below)
    if mixed[1]:
        # Two and a half, five and three quarters.
        if above == 1:
            words = "a " + words.removeprefix("one ")
        return f"{whole(mixed[1])} and {words}"
    return words


def is_one(written: str) -> bool:
    """Whether what is counted stands in the singular: 1 kilogram, 3/4 of a mile."""
    return written == "1" or is_part(written)


def is_part(written: str) -> bool:
    """Whether an amount is a fraction and no whole number beside it."""
    return "/" in written and " " not in written


def plural(word: str) -> str:
    """The plural of the last word of a number: twenty, twenties; hundred, hundreds; six, sixes."""
    if word.endswith("y"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith("x") else "s")
