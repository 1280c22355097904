"""The text front end: every kind of writing, the template's prefix, `transformers`, speed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from services.generator.model.text import TextTokenizer
from training.text.normalizer import (
    CHARACTERS,
    VOCAB_SIZE,
    build_tokenizer,
    normalize,
    vocabulary,
)

NUMBERS = [
    ("0", "zero"),
    ("7", "seven"),
    ("10", "ten"),
    ("13", "thirteen"),
    ("20", "twenty"),
    ("42", "forty two"),
    ("99", "ninety nine"),
    ("100", "one hundred"),
    ("101", "one hundred one"),
    ("110", "one hundred ten"),
    ("345", "three hundred forty five"),
    ("1,000", "one thousand"),
    ("1,001", "one thousand one"),
    ("1,234", "one thousand two hundred thirty four"),
    ("3456", "three thousand four hundred fifty six"),
    ("20,005", "twenty thousand five"),
    ("100000", "one hundred thousand"),
    ("1,000,000", "one million"),
    ("1000001", "one million one"),
    ("5,000,200", "five million two hundred"),
    (
        "999,999,999",
        "nine hundred ninety nine million nine hundred ninety nine thousand nine hundred ninety "
        "nine",
    ),
    ("1,000,000,000", "one billion"),
    ("2,000,000,000,001", "two trillion one"),
    ("12345678901", "one two three four five six seven eight nine zero one"),
    ("007", "zero zero seven"),
    ("42 7", "forty two seven"),
    ("3.14", "three point one four"),
    ("0.05", "zero point zero five"),
    (".5", "point five"),
    ("10,000.50", "ten thousand point five zero"),
    ("3.2.1", "three point two point one"),
    ("-5", "minus five"),
    ("\u22125", "minus five"),
    ("50%", "fifty percent"),
    ("2.5%", "two point five percent"),
    ("10-20", "ten to twenty"),
    ("10\u201320", "ten to twenty"),
    ("10 - 4 = 6", "ten minus four equals six"),
    ("3+4=7", "three plus four equals seven"),
    ("2 x 4", "two by four"),
    ("1/2", "one half"),
    ("2 1/2", "two and a half"),
    ("1\u00bd", "one and a half"),
    ("5/8", "five over eight"),
    ("24/7", "twenty four seven"),
    ("#5", "number five"),
    ("No. 5", "number five"),
    ("3-year-old", "three-year-old"),
    ("mp3", "mp three"),
    ("call 911", "call nine one one"),
]
ORDINALS = [
    ("1st", "first"),
    ("2nd", "second"),
    ("3rd", "third"),
    ("5th", "fifth"),
    ("8th", "eighth"),
    ("9th", "ninth"),
    ("11th", "eleventh"),
    ("12th", "twelfth"),
    ("13th", "thirteenth"),
    ("20th", "twentieth"),
    ("22nd", "twenty second"),
    ("40th", "fortieth"),
    ("100th", "one hundredth"),
    ("111th", "one hundred eleventh"),
    ("1,000th", "one thousandth"),
]
CALENDAR = [
    ("in 1984", "in nineteen eighty four"),
    ("in 1900", "in nineteen hundred"),
    ("in 1905", "in nineteen oh five"),
    ("in 1066", "in one thousand sixty six"),
    ("in 1100", "in eleven hundred"),
    ("in 2000", "in two thousand"),
    ("in 2005", "in two thousand five"),
    ("in 2024", "in twenty twenty four"),
    ("in 2099", "in twenty ninety nine"),
    ("the 1980s", "the nineteen eighties"),
    ("the '90s", "the nineties"),
    ("the 1800s", "the eighteen hundreds"),
    ("May 12, 2024", "may twelfth, twenty twenty four"),
    ("May 5", "may fifth"),
    ("Oct. 3", "october third"),
    ("12 May", "twelfth of may"),
    ("the 12th May", "the twelfth of may"),
    ("the 4th of July", "the fourth of july"),
    ("she may 5", "she may five"),
    ("2024-05-12", "twenty twenty four, may twelfth"),
    ("5/12/2024", "may twelfth, twenty twenty four"),
    ("Mon. at 5", "monday at five"),
    ("He sat. Then", "he sat. then"),
    ("10:30", "ten thirty"),
    ("7:05 pm", "seven oh five p m"),
    ("7 p.m. sharp", "seven p m sharp"),
    ("9AM", "nine ay m"),
    ("12:00", "twelve o'clock"),
    ("12:00 noon", "twelve noon"),
    ("8:00 a.m.", "eight ay m"),
    ("10:30-11:45", "ten thirty to eleven forty five"),
]
MONEY = [
    ("$42.50", "forty two dollars and fifty cents"),
    ("$1", "one dollar"),
    ("$21", "twenty one dollars"),
    ("$1.01", "one dollar and one cent"),
    ("$0.99", "ninety nine cents"),
    ("$5.00", "five dollars"),
    ("$1,250.75", "one thousand two hundred fifty dollars and seventy five cents"),
    ("$2000", "two thousand dollars"),
    ("$1984", "one thousand nine hundred eighty four dollars"),
    ("$3.5 million", "three point five million dollars"),
    ("$10k", "ten thousand dollars"),
    ("-$5", "minus five dollars"),
    ("$5-$10", "five dollars to ten dollars"),
    ("a $5 bill", "a five dollar bill"),
    ("\u20ac5", "five euros"),
    ("5 \u20ac", "five euros"),
    ("\u00a33", "three pounds"),
    ("\u00a31.50", "one pound and fifty pence"),
    ("\u00a5500", "five hundred yen"),
]
UNITS = [
    ("5 km", "five kilometers"),
    ("1 km", "one kilometer"),
    ("21 kg", "twenty one kilograms"),
    ("60 mph", "sixty miles per hour"),
    ("6 ft", "six feet"),
    ("1 ft", "one foot"),
    ("a 6-ft pole", "a six foot pole"),
    ("3 lbs.", "three pounds"),
    ("8 oz.", "eight ounces"),
    ("25\u00b0C", "twenty five degrees celsius"),
    ("1\u00b0", "one degree"),
    ("6'2\"", "six foot two"),
]
PHONES = [
    ("555-0134", "five five five, zero one three four"),
    ("212-555-0187", "two one two, five five five, zero one eight seven"),
    ("(555) 123-4567", "five five five, one two three, four five six seven"),
]
ABBREVIATIONS = [
    ("Dr. Smith vs. Mr. Jones", "doctor smith versus mister jones"),
    ("Mrs. Lee and Ms. Ray", "missus lee and miz ray"),
    ("Prof. Ray Jr.", "professor ray junior"),
    ("St. Louis", "saint louis"),
    ("5 Main St.", "five main street"),
    ("tea, milk, etc.", "tea, milk, et cetera"),
    ("e.g. this", "for example, this"),
    ("i.e., that", "that is, that"),
    ("approx. 5", "approximately five"),
    ("the U.S. Army", "the u s army"),
    ("the U.S. is", "the u s is"),
    ("the USA", "the u s ay"),
    ("give us tea", "give us tea"),
    ("FBI", "f b i"),
    ("two TVs", "two t v's"),
    ("NASA", "nasa"),
    ("J. K. Rowling", "j k rowling"),
    ("World War II", "world war two"),
    ("ok", "okay"),
]
SIGNS = [
    ("a & b", "a and b"),
    ("me @ home", "me at home"),
    ("a/b", "a slash b"),
    ("caf\u00e9", "cafe"),
    ("na\u00efve Stra\u00dfe", "naive strasse"),
    ("\u201cyes\u201d", "yes"),
    ("don\u2019t", "don't"),
    ("'quoted' dogs'", "quoted dogs"),
    ("a \u2014 b", "a, b"),
    ("a--b", "a, b"),
    ("one (two) three", "one, two, three"),
    ("this: that; more", "this, that, more"),
    ("so\u2026 yes", "so, yes"),
    ("so... Yes", "so. yes"),
    ("a  b\t c\nd", "a b c d"),
    ("One\n\nTwo", "one. two"),
    ("# Title\n- **one**\n- two", "title. one. two"),
    ("[laughs] yes", "laughs, yes"),
    ("see example.com", "see example dot com"),
    ("hi \U0001f600 there", "hi there"),
    ("\u65e5\u672c hello", "hello"),
    ("\uff14\uff12", "forty two"),
    ("hello ,you", "hello, you"),
]
ENDED = [
    ("Hello", "hello."),
    ("Hello.", "hello."),
    ("Really?!", "really?"),
    ("No!!!", "no!"),
    ("wait...", "wait."),
    ("well,", "well,"),
    ("(yes)", "yes,"),
    ("", ""),
    ("!!!", ""),
    ("...", ""),
    ("\U0001f600", ""),
    ("\ue000\ue110", ""),
]


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        *NUMBERS,
        *ORDINALS,
        *CALENDAR,
        *MONEY,
        *UNITS,
        *PHONES,
        *ABBREVIATIONS,
        *SIGNS,
    ],
)
def test_reads_what_is_written(written: str, spoken: str) -> None:
    assert normalize(written).removesuffix(".") == spoken
    # The same at the end of a sentence and within one.
    assert normalize(f"So it was {written}, yes?").startswith("so it was")
    assert normalize(f"So it was {written}, yes?").endswith("yes?")


@pytest.mark.parametrize(("written", "spoken"), ENDED)
def test_a_sentence_ends_with_one_mark(written: str, spoken: str) -> None:
    assert normalize(written) == spoken


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
        assert normalize(f"{number:,}") == _say(number) + ".", number
    for number in range(10_000, 10**9, 9_876_543):
        assert normalize(str(number)) == _say(number) + ".", number


def test_years_in_two_halves() -> None:
    for year in range(1100, 2100):
        century, rest = divmod(year, 100)
        if 2000 <= year < 2010:
            spoken = _say(year)
        elif rest == 0:
            spoken = f"{_say(century)} hundred"
        else:
            spoken = f"{_say(century)} {'oh ' if rest < 10 else ''}{_say(rest)}"
        assert normalize(f"In {year} it rained.") == f"in {spoken} it rained."


def test_the_prefix_stays_and_only_at_the_start() -> None:
    tokenizer = build_tokenizer()
    for speaker in (0, 3, 12, 42, 1984, 65535):
        for text, spoken in (("42 apples", "forty two apples."), ("[7] x", "seven, x."), ("", "")):
            read = tokenizer.normalizer.normalize_str(f"[{speaker}]{text}")
            assert read == f"[{speaker}]{spoken}"
    assert tokenizer.normalizer.normalize_str("say [12] now") == "say, twelve, now."


def test_only_known_characters_are_left() -> None:
    printable = "".join(chr(code) for code in range(32, 0x2200))
    odd = [printable[start : start + 40] for start in range(0, len(printable), 40)]
    odd += [
        f"{a}{b}5{a} 1{b}" for a in "$\u20ac%#@/-.,:'\"([\u00b0" for b in "$\u20ac%#@/-.,:'\")]"
    ]
    for text in odd:
        read = normalize(text)
        assert set(read) <= set(CHARACTERS + " "), (text, read)
        assert read == " ".join(read.split()), (text, read)


def test_what_is_read_reads_as_itself() -> None:
    for written, _ in (*NUMBERS, *MONEY, *CALENDAR, *ABBREVIATIONS, *SIGNS, *ENDED):
        once = normalize(written)
        assert normalize(once).removesuffix(".") == once.removesuffix("."), written


def test_ids_are_those_of_the_first_voice() -> None:
    tokens = vocabulary()
    assert (tokens["<pad>"], tokens["<bos>"], tokens["<eos>"], tokens[" "]) == (0, 1, 2, 3)
    assert (tokens["a"], tokens["z"], tokens["'"], tokens["["], tokens["9"]) == (4, 29, 30, 36, 47)
    assert (tokens["<unk>"], tokens["<|AUDIO|>"], tokens["<|audio_eos|>"]) == (61, 62, 63)
    assert max(tokens.values()) < VOCAB_SIZE
    assert len(set(tokens.values())) == len(tokens)


def test_saved_file_loads_in_ours_and_in_transformers(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    path = tmp_path / "tokenizer.json"
    build_tokenizer().save(str(path))
    assert json.loads(path.read_text())["model"]["type"] == "WordLevel"
    ours = TextTokenizer.from_directory(tmp_path)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(path))
    plain = Tokenizer.from_file(str(path))
    tokens = vocabulary()
    for text in ("It's $42.50 at 10:30!", "Dr. Ray's caf\u00e9", "", "\u20ac", "!!!", "[3] yes"):
        expected = [1, *(tokens[character] for character in "[12]" + normalize(text)), 2]
        assert ours.encode(12, text) == expected
        assert theirs(f"[12]{text}")["input_ids"] == expected
        # The chat template of CSM writes BOS and EOS itself.
        assert theirs(f"<bos>[12]{text}<eos>", add_special_tokens=False)["input_ids"] == expected
        assert plain.encode(f"[12]{text}").ids == expected
    assert ours.content("\ue000") == []


def test_reads_fast() -> None:
    text = (
        "Dr. Brown paid $42.50 on May 12, 2024 at 10:30 a.m.; 15% of 1,234 people (or so) "
        "came to 5 Main St., and nobody knew what the U.S. would say about it, or why it "
        "mattered at all."
    )
    assert len(text) > 170
    normalize(text)
    best = min(_seconds(text) for _ in range(5))
    assert best < 0.004, f"{best * 1e3:.2f} ms"


def _seconds(text: str) -> float:
    start = time.process_time()
    for _ in range(10):
        normalize(text)
    return (time.process_time() - start) / 10
